"""How COLMAP is run: quietly, and the same each time."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pycolmap

log = logging.getLogger(__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """COLMAP's own lines only where debug lines are wanted; its random numbers fixed."""
    before = pycolmap.logging.minloglevel
    if not log.isEnabledFor(logging.DEBUG):
        pycolmap.logging.minloglevel = pycolmap.logging.Level.ERROR.value
    pycolmap.set_random_seed(0)
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = before


def seeded_options() -> pycolmap.IncrementalPipelineOptions:
    """The options of COLMAP's mapper and triangulation with fixed random numbers."""
    options = pycolmap.IncrementalPipelineOptions()
    for seeded in (options, options.mapper, options.triangulation):
        seeded.random_seed = 0
    return options
