"""Stage `poses`: camera poses by structure from motion, with COLMAP's features, matcher and mapper."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pycolmap

from datasets.capture.frames.frame_list import read_frame_list
from datasets.capture.options import MIN_IMAGES, CaptureOptions
from datasets.capture.poses.diagnosis import MatchStatistics, explain_failure, model_statistics
from datasets.capture.poses.features import extract_features, read_descriptors, read_num_matches
from datasets.capture.poses.pairs import choose_pairs
from datasets.files.quiet_colmap import quiet, seeded_options
from datasets.points.sift import MIN_MATCHES, match_pairs
from utils.count_bar import CountBar
from utils.errors import CaptureError

log = logging.getLogger(__name__)
MIN_REGISTERED_SHARE = 0.7  # of the frames; with fewer, a warning explains why
_RETRY_BELOW = 0.95  # of the frames; with fewer, a second run with lower thresholds may register more


def estimate_poses(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Fills poses/ (database.db, models/) and poses.json; returns the report. Raises CaptureError."""
    frames, is_video = read_frame_list(options.root)
    if len(frames) < MIN_IMAGES:
        raise CaptureError(
            f"{options.root / 'frames'}: expected at least {MIN_IMAGES} of the images that frames.json lists, got "
            f"{len(frames)}. Run --from frames."
        )
    folder = working / "poses"
    folder.mkdir()
    names = [frame.name for frame in frames]
    with quiet():
        database = folder / "database.db"
        extract_features(database, options.root / "frames", frames, options)
        descriptors = read_descriptors(database, names)
        match_pairs(database, choose_pairs(descriptors, is_video), names)
        num_matches = read_num_matches(database, names)
        models = _reconstruct(database, options.root / "frames", len(frames))
    statistics = MatchStatistics(frames, is_video, [len(features) for features in descriptors], num_matches)
    if not models:
        raise CaptureError(f"{options.source}: COLMAP registered none of the images. {explain_failure(statistics)}")
    for number, model in enumerate(models):
        (target := folder / "models" / str(number)).mkdir(parents=True)
        model.write(target)
    report = asdict(model_statistics(models[0], len(frames))) | {"models": len(models)}
    _log_report(report, statistics)
    (working / "poses.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    return report


def _reconstruct(database: Path, images: Path, num: int) -> list[pycolmap.Reconstruction]:
    """The models of the mapper, the largest first. Where they leave images out, runs it again with lower thresholds."""
    models = _run_mapper(database, images, num, _mapper_options())
    if _num_registered(models) < _RETRY_BELOW * num:
        log.info("  registered %d of %d frames, trying again with lower thresholds", _num_registered(models), num)
        lower = _mapper_options()
        lower.mapper.init_min_num_inliers = 40
        lower.mapper.init_min_tri_angle = 6.0
        lower.mapper.abs_pose_min_num_inliers = 15
        models = max(models, _run_mapper(database, images, num, lower), key=_num_registered)
    return models


def _num_registered(models: list[pycolmap.Reconstruction]) -> int:
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


def _log_report(report: dict[str, Any], statistics: MatchStatistics) -> None:
    registered, total = report["registered"], report["frames"]
    log.info(
        "  registered %d of %d frames; reprojection error %.2f pixels; %d points, each seen by %.1f frames on average",
        *(registered, total, report["reprojection_error"], report["points"], report["track_length"]),
    )
    log.info(
        "  directions: cameras in %d of %d sectors around the object, elevation %.0f to %.0f degrees",
        *(report["sectors"], len(report["azimuth_histogram"]), *report["elevation_degrees"]),
    )
    if report["models"] > 1:
        log.info("  %d separate models; using the largest", report["models"])
    if registered < MIN_REGISTERED_SHARE * total:
        log.warning("registered only %d of %d frames. %s", registered, total, explain_failure(statistics))
