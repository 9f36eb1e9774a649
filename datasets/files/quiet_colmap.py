"""Runs COLMAP quietly and with fixed random seeds."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pycolmap

log = logging.getLogger(__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """Within this context COLMAP logs errors only, unless debug logging is on, and its random seed is fixed."""
    before = pycolmap.logging.minloglevel
    if not log.isEnabledFor(logging.DEBUG):
        pycolmap.logging.minloglevel = pycolmap.logging.Level.ERROR.value
    pycolmap.set_random_seed(0)
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = before


def seeded_options() -> pycolmap.IncrementalPipelineOptions:
    """The options of COLMAP's mapper and triangulation with fixed random seeds."""
    options = pycolmap.IncrementalPipelineOptions()
    for seeded in (options, options.mapper, options.triangulation):
        seeded.random_seed = 0
    return options
