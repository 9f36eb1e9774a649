"""Stage `poses`: cameras of the images by structure from motion, with COLMAP's features, matcher and mapper."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pycolmap

from datasets import sift
from datasets.capture.frames.stage import read_frame_list
from datasets.capture.options import MIN_IMAGES, CaptureOptions
from datasets.capture.poses import features
from datasets.capture.poses.diagnosis import Evidence, explain, survey
from datasets.capture.poses.pairs import choose_pairs
from datasets.files.quiet_colmap import quiet, seeded_options
from utils.count_bar import CountBar
from utils.errors import CaptureError

log = logging.getLogger(__name__)
ENOUGH = 0.7  # of the frames; with fewer it is said why
_RETRY = 0.95  # with fewer, a second try with lower demands may find more


def run(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Fills poses/ (database.db, models/) and poses.json; returns the report. Raises CaptureError."""
    frames, video = read_frame_list(options.root)
    if len(frames) < MIN_IMAGES:
        raise CaptureError(
            f"{options.root / 'frames'}: expected at least {MIN_IMAGES} of the images of frames.json, got "
            f"{len(frames)}. Run --from frames."
        )
    folder = working / "poses"
    folder.mkdir()
    names = [frame.name for frame in frames]
    with quiet():
        database = folder / "database.db"
        features.extract(database, options.root / "frames", frames, options)
        descriptors = features.read_descriptors(database, names)
        sift.match(database, choose_pairs(descriptors, video), names)
        matches = features.read_matches(database, names)
        models = _map(database, options.root / "frames", len(frames))
    evidence = Evidence(frames, video, [len(found) for found in descriptors], matches)
    if not models:
        raise CaptureError(f"{options.source}: no camera could be placed. {explain(evidence)}")
    for number, model in enumerate(models):
        (target := folder / "models" / str(number)).mkdir(parents=True)
        model.write(target)
    report = asdict(survey(models[0], len(frames))) | {"models": len(models)}
    _tell(report, evidence)
    (working / "poses.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    return report


def _map(database: Path, images: Path, num: int) -> list[pycolmap.Reconstruction]:
    """The models found, the largest first; a second try has lower demands where the first leaves frames out."""
    models = _map_once(database, images, num, _mapper_options())
    if not models or models[0].num_reg_images() < _RETRY * num:
        log.info("  %d of %d placed, trying again with lower demands", _size(models), num)
        patient = _mapper_options()
        patient.mapper.init_min_num_inliers = 40
        patient.mapper.init_min_tri_angle = 6.0
        patient.mapper.abs_pose_min_num_inliers = 15
        models = max(models, _map_once(database, images, num, patient), key=_size)
    return models


def _size(models: list[pycolmap.Reconstruction]) -> int:
    return models[0].num_reg_images() if models else 0


def _map_once(
    database: Path, images: Path, num: int, options: pycolmap.IncrementalPipelineOptions
) -> list[pycolmap.Reconstruction]:
    progress = CountBar("cameras placed", num)
    placed = 2

    def count() -> None:
        nonlocal placed
        placed = min(placed + 1, num - 1)
        progress(placed)

    def begin() -> None:
        nonlocal placed
        placed = 2

    output = database.with_name("mapping")
    output.mkdir(exist_ok=True)
    found = pycolmap.incremental_mapping(database, images, output, options, "", begin, count)
    progress.close()
    for path in sorted(output.rglob("*"), reverse=True):  # what counts is written by the stage
        path.unlink() if path.is_file() else path.rmdir()
    output.rmdir()
    return sorted(found.values(), key=lambda model: model.num_reg_images(), reverse=True)


def _mapper_options() -> pycolmap.IncrementalPipelineOptions:
    options = seeded_options()
    options.min_model_size = MIN_IMAGES
    options.min_num_matches = sift.MIN_MATCHES
    return options


def _tell(report: dict[str, Any], evidence: Evidence) -> None:
    log.info(
        "  %d of %d frames placed; reprojection error %.2f pixels; %d points, seen by %.1f frames each",
        *(report["registered"], report["frames"], report["reprojection_error"], report["points"]),
        report["track_length"],
    )
    log.info(
        "  directions: %d of %d sectors around, elevation %.0f to %.0f degrees",
        *(report["sectors"], len(report["azimuth_histogram"]), *report["elevation_degrees"]),
    )
    if report["models"] > 1:
        log.info("  %d separate models were found; the largest is used", report["models"])
    if report["registered"] < ENOUGH * report["frames"]:
        log.warning("only %d of %d frames placed. %s", report["registered"], report["frames"], explain(evidence))
