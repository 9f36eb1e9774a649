"""Benchmarks that anyone can run; `python -m benchmarks` lists them."""

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
import PIL.Image  # noqa: F401 before pycolmap, which corrupted the heap when it came first

from utils.imports import import_lightning

import_lightning()  # before anything here does
