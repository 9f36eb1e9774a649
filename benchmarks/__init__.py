"""Benchmarks that anyone can run; `python -m benchmarks` lists them."""

import PIL.Image  # noqa: F401 before pycolmap, which corrupted the heap when it came first

from utils.imports import import_lightning

import_lightning()  # before anything here does
