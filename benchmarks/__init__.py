"""Benchmarks that anyone can run: `python -m benchmarks.ops`, `.train`, `.export`, and `.report` for the tables."""

from utils.imports import import_lightning

import_lightning()  # before anything here does
