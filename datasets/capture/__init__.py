"""From a video or a folder of photographs to a dataset: stages that read and write files of a known layout."""
