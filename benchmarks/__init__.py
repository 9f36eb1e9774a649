"""Benchmarks that anyone can run; `python -m benchmarks` lists them."""

from utils.imports import import_lightning

import_lightning()  # before anything here does
