"""From a video or a folder of photographs to a dataset: stages that talk through files with a known layout."""
