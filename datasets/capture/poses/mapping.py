"""COLMAP's incremental mapper, with second tries where the first one falls short."""

import logging
from pathlib import Path

import pycolmap

from datasets.capture.options import MIN_IMAGES
from datasets.files.quiet_colmap import seeded_options
from datasets.points.sift import MIN_MATCHES
from utils.terminal.count_bar import CountBar

log = logging.getLogger(__name__)
_RETRY_BELOW = 0.95  # of the frames; with fewer, a second run with lower thresholds may register more
_STRICT = 3  # times the matches that a pair needs: things that look alike share fewer than what is the same


def reconstruct(database: Path, images: Path, num: int) -> list[pycolmap.Reconstruction]:
    """The models of the mapper, the largest first. Where they leave images out, runs it again with lower thresholds."""
    models = reconstruct_once(database, images, num)
    if num_registered(models) < _RETRY_BELOW * num:
        log.info("  registered %d of %d frames, trying again with lower thresholds", num_registered(models), num)
        models = max(models, reconstruct_loosely(database, images, num), key=num_registered)
    return models


def reconstruct_loosely(database: Path, images: Path, num: int) -> list[pycolmap.Reconstruction]:
    """The models of the mapper with lower thresholds, the largest first."""
    options = _mapper_options()
    options.mapper.init_min_num_inliers = 40
    options.mapper.init_min_tri_angle = 6.0
    options.mapper.abs_pose_min_num_inliers = 15
    return _run_mapper(database, images, num, options)


def reconstruct_once(database: Path, images: Path, num: int) -> list[pycolmap.Reconstruction]:
    """The models of the mapper with its usual thresholds, the largest first."""
    return _run_mapper(database, images, num, _mapper_options())


def reconstruct_strictly(database: Path, images: Path, num: int) -> list[pycolmap.Reconstruction]:
    """The models from those pairs alone that have many matches, the largest first."""
    options = _mapper_options()
    options.min_num_matches = _STRICT * MIN_MATCHES
    options.random_seed = options.mapper.random_seed = 1
    return _run_mapper(database, images, num, options)


def num_registered(models: list[pycolmap.Reconstruction]) -> int:
    """Images of the largest model."""
    return models[0].num_reg_images() if models else 0


def _run_mapper(
    database: Path, images: Path, num: int, options: pycolmap.IncrementalPipelineOptions
) -> list[pycolmap.Reconstruction]:
    progress = CountBar("images registered", num)
    registered = 2

    def count_next() -> None:
        nonlocal registered
        registered = min(registered + 1, num - 1)
        progress(registered)

    def restart() -> None:
        nonlocal registered
        registered = 2

    output = database.with_name("mapping")
    output.mkdir(exist_ok=True)
    models = pycolmap.incremental_mapping(database, images, output, options, "", restart, count_next)
    progress.close()
    for path in sorted(output.rglob("*"), reverse=True):  # the stage writes the models itself
        path.unlink() if path.is_file() else path.rmdir()
    output.rmdir()
    return sorted(models.values(), key=lambda model: model.num_reg_images(), reverse=True)


def _mapper_options() -> pycolmap.IncrementalPipelineOptions:
    options = seeded_options()
    options.min_model_size = MIN_IMAGES
    options.min_num_matches = MIN_MATCHES
    return options
