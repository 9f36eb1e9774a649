"""Stage `poses`: camera poses by structure from motion, with COLMAP's features, matcher and mapper."""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from datasets.capture.frames.frame_list import read_frame_list
from datasets.capture.options import MIN_IMAGES, CaptureOptions
from datasets.capture.poses.diagnosis import MatchStatistics, explain_failure, model_statistics
from datasets.capture.poses.features import extract_features, read_descriptors, read_num_matches
from datasets.capture.poses.fold_check import PoseCheck, check_poses
from datasets.capture.poses.likely_split import UntruePosesError, likely_split
from datasets.capture.poses.mapping import reconstruct, reconstruct_loosely, reconstruct_once, reconstruct_strictly
from datasets.capture.poses.pairs import Pair, choose_pairs, choose_ring_pairs
from datasets.capture.poses.robust_adjustment import PrincipalPoints, find_principal_points
from datasets.capture.poses.turntable.keeping import keep_to_motion
from datasets.capture.poses.turntable.solve import solve_turntable
from datasets.capture.setup.record import LIKELY_TURNS, SETUP_MASK_FOLDER, Setup, read_setup
from datasets.files.quiet_colmap import quiet
from datasets.points.sift import match_pairs
from utils.errors import CaptureError
from utils.images import read_image, write_png

log = logging.getLogger(__name__)
MIN_REGISTERED_SHARE = 0.7  # of the frames; with fewer, a warning explains why


@dataclass(frozen=True)
class _Solution:
    """Models of the frames, the largest first, and what the check says of that one."""

    models: list[pycolmap.Reconstruction]
    method: str
    check: PoseCheck


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
    setup = _read_setup(options.root, names)
    with quiet():
        database = folder / "database.db"
        masks = _copy_masks(options.root, setup, folder)
        extract_features(database, options.root / "frames", frames, options, masks)
        if masks is not None:
            shutil.rmtree(masks)
        descriptors = read_descriptors(database, names)
        match_pairs(database, _choose_pairs(descriptors, setup, names, is_video), names)
        num_matches = read_num_matches(database, names)
        statistics = MatchStatistics(frames, is_video, [len(features) for features in descriptors], num_matches)
        solution = _solve(options, database, setup, statistics)
        centres = find_principal_points(solution.models[0])
    for number, model in enumerate(solution.models):
        (target := folder / "models" / str(number)).mkdir(parents=True)
        model.write(target)
    report = asdict(model_statistics(solution.models[0], len(frames))) | {
        "models": len(solution.models),
        "method": solution.method,
        "check": solution.check.figures,
        "principal_points": {
            "found": centres.found,
            "offsets": centres.offsets.tolist(),
            "deviations": [[value if np.isfinite(value) else None for value in row] for row in centres.deviations],
        },
    }
    _log_report(report, statistics)
    log.info("  %s", _told_centres(centres))
    for warning in solution.check.warnings:
        log.warning("%s. Look at region.png: do the cameras go round the object as you did?", warning)
    (working / "poses.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    return report


def _told_centres(centres: PrincipalPoints) -> str:
    if not centres.found:
        return "lens: these views do not tell the principal point, which is taken to be the middle of the images"
    (x, y), worst = centres.offsets[0], centres.deviations.max()
    others = f", and of {len(centres.offsets) - 1} more cameras" if len(centres.offsets) > 1 else ""
    return f"lens: the principal point is {x:+.1f}, {y:+.1f} pixels off the middle{others}, known to {worst:.1f}"


def _read_setup(root: Path, names: Sequence[str]) -> Setup:
    """The record of setup.json, of the frames that are still there."""
    setup, present = read_setup(root), set(names)
    kept = tuple(tuple(name for name in position if name in present) for position in setup.positions)
    return Setup(setup.kind, tuple(position for position in kept if position), setup.method, setup.still_share)


def _copy_masks(root: Path, setup: Setup, folder: Path) -> Path | None:
    """A folder with the masks of a turntable under the names that COLMAP wants; None where the camera moved."""
    if setup.kind != "turntable":
        return None
    (named := folder / "masks").mkdir()
    for name in (name for position in setup.positions for name in position):
        mask = read_image((root / SETUP_MASK_FOLDER / name).with_suffix(".png"))[..., 0]
        write_png(named / f"{name}.png", np.where(mask >= LIKELY_TURNS, 255, 0).astype(np.uint8))
    return named


def _choose_pairs(descriptors: Sequence[np.ndarray], setup: Setup, names: Sequence[str], is_video: bool) -> list[Pair]:
    if setup.kind != "turntable":
        return choose_pairs(descriptors, is_video)
    index = {name: i for i, name in enumerate(names)}
    return choose_ring_pairs(descriptors, [[index[name] for name in position] for position in setup.positions])


def _solve(options: CaptureOptions, database: Path, setup: Setup, statistics: MatchStatistics) -> _Solution:
    """Poses that the check has no doubt about; those with the fewest warnings. Raises CaptureError."""
    num, turntable = len(statistics.frames), setup.kind == "turntable"
    solutions: list[_Solution] = []
    doubts: tuple[str, ...] = ()
    for method, run in _methods(options.root / "frames", database, setup, num).items():
        if doubts:
            log.info("  doubtful poses: %s; trying %s", doubts[0], method)
        if not (models := run()):
            continue
        check = check_poses(models[0], database, setup.positions, turntable)
        registered = models[0].num_reg_images()
        if registered < MIN_REGISTERED_SHARE * num:
            told = f"only {registered} of {num} images are registered"
            if turntable:
                check = replace(check, warnings=(*check.warnings, told))
            elif doubts:  # what is left of a model that cannot be true is too little to trust
                check = replace(check, doubts=(*check.doubts, told))
        if not check.doubts:
            solutions.append(_Solution(models, method, check))
        doubts = (*check.doubts, *(check.warnings if turntable else ()))
        if not doubts:
            break
    if solutions:
        return min(
            reversed(solutions), key=lambda found: (len(found.check.warnings), -found.models[0].num_reg_images())
        )
    if not doubts:
        raise CaptureError(f"{options.source}: COLMAP registered none of the images. {explain_failure(statistics)}")
    message = f"{options.source}: the poses cannot be true: {'; '.join(doubts)}. {_advice(setup)}"
    names = [frame.name for frame in statistics.frames]
    raise UntruePosesError(message, None if turntable else likely_split(database, names))


def _methods(
    images: Path, database: Path, setup: Setup, num: int
) -> dict[str, Callable[[], list[pycolmap.Reconstruction]]]:
    """Ways to poses, the first choice first; each gives models, the largest first."""
    if setup.kind == "turntable":
        return {
            "COLMAP": lambda: _held(reconstruct_once(database, images, num), database, setup),
            "turntable": lambda: list(filter(None, [solve_turntable(database, setup.positions)])),
            "COLMAP with lower thresholds": lambda: _held(reconstruct_loosely(database, images, num), database, setup),
        }
    return {
        "COLMAP": partial(reconstruct, database, images, num),
        "COLMAP with many matches": partial(reconstruct_strictly, database, images, num),
    }


def _held(models: list[pycolmap.Reconstruction], database: Path, setup: Setup) -> list[pycolmap.Reconstruction]:
    """The models, the largest of them held to the motion of the turntable."""
    return [keep_to_motion(model, database, setup.positions) for model in models[:1]] + models[1:]


def _advice(setup: Setup) -> str:
    """What to do where no poses can be found that are true."""
    texture = "put a patterned cloth or a newspaper under the object"
    if setup.kind == "turntable":
        return (
            f"Let it turn in small, even steps, and a pattern with it: {texture}, on the disc; take more photos; "
            f"or give --setup handheld if the camera moved."
        )
    return (
        f"Sides of the object look alike: {texture}, and take more images, in the order of your way round it; or give "
        f"--setup turntable if the object turned before a still camera. If it was moved in between, give the photos "
        f"before and after that as two folders."
    )


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
        log.warning(
            "%d separate models of the scene, which share too few features: the largest is used, %d of %d images. To "
            "use all: more images between the parts, each overlapping the next by half; or, if the object was moved in "
            "between, give the images before and after that as two INPUTs",
            *(report["models"], registered, total),
        )
    if registered < MIN_REGISTERED_SHARE * total:
        log.warning("registered only %d of %d frames. %s", registered, total, explain_failure(statistics))
