"""From a video or a folder of photographs to a dataset: stages that read and write files of a known layout."""

import datasets.files.colmap_signals  # noqa: F401 before all that import pycolmap
