"""Solves a turntable from its motion: rings of photos at even steps round one axis, joined and bundle adjusted."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pycolmap

from datasets.capture.poses.turntable.bundle import adjusted_reconstructions
from datasets.capture.poses.turntable.checks import FREE_BETTER, connected_rings, doubt, ring_holds
from datasets.capture.poses.turntable.fit import agreeing, fit, fit_sense, thinned
from datasets.capture.poses.turntable.joining import across, join_rings
from datasets.capture.poses.turntable.motion import Motion
from datasets.capture.poses.turntable.rings import PairMatches, Ring, match_pairs, neighbours, read_rings
from datasets.files.quiet_colmap import quiet

log = logging.getLogger(__name__)
_MIN_PHOTOS = 8  # of a ring: 45 degrees between two, beyond which SIFT does not match
_SENSE_IN_DOUBT = 1.05  # the cost of the other sense, as a factor, up to which the sense is in doubt
_AGREES = 2.0  # pixels off the epipolar line, here as below of a photo with 800 on its longer side
_FIT_ERRORS, _FIT_MATCHES = (12.0, 4.0), 40  # pixels that matches may be off before each joint fit; matches of a pair
_TRACK_ERROR = 4.0  # pixels off the epipolar line, of matches that become points


def solve_turntable(database: Path, positions: Sequence[Sequence[str]]) -> pycolmap.Reconstruction | None:
    """Camera poses and points in the frame of the object on a turntable; None, and a line in the log, without a
    solution that holds.

    database: of COLMAP, with cameras, images and SIFT features on what turns only; its matches are neither needed nor
    changed. Photos have one size and one lens. positions: for each camera position, the names of its photos in the
    order of the turn: at least 8, at even steps over one closed turn. Positions that are not so, and those that do not
    join the others, are left out.

    The steps are known, so that a ring has few unknowns: the focal length, three angles of the camera at rest, and the
    sense of the turn. They follow from Sampson distances of matches between near photos of a ring, and look-alike sides
    cannot fold. Matches between rings determine azimuth, distance and height of each against the others. A bundle
    adjustment then frees the step of each photo, the focal length and the distortion, but keeps to the axis, unless
    free poses fit clearly better. The result has no colours (`extract_colors_for_all_images` gives them); its z axis is
    the axis of the turntable, upwards."""
    with quiet():
        reconstruction = _solve(database, positions)
    return reconstruction if isinstance(reconstruction, pycolmap.Reconstruction) else _give_up(reconstruction)


def _give_up(reason: str) -> None:
    log.warning("  the turntable's motion does not give the poses: %s", reason)


def _solve(database: Path, positions: Sequence[Sequence[str]]) -> pycolmap.Reconstruction | str:
    """The reconstruction, or why there is none."""
    long = [names for names in positions if len(names) >= _MIN_PHOTOS]
    if not long:
        return f"no camera position has {_MIN_PHOTOS} photos or more"
    rings, cameras = read_rings(database, long)
    focal = [camera.mean_focal_length() for camera in cameras]  # as EXIF data tells them
    if len({(camera.width, camera.height, camera.model) for camera in cameras}) > 1 or max(focal) > 1.01 * min(focal):
        return "its photos have several sizes or lenses"
    camera = cameras[0]
    within = match_pairs(rings, [pair for number, ring in enumerate(rings) for pair in neighbours(ring, number)])
    rings, within, motion, other = _fit_closed(rings, within, camera)
    if not rings:
        return "no camera position shows one closed turn at even steps round one axis"
    if other < _SENSE_IN_DOUBT:
        return f"the sense of the turn is in doubt, the other one costs only {other:.2f} times as much"
    rings, pairs, motion = _fit_joined(rings, within, motion, camera)
    pairs = agreeing(rings, pairs, motion, camera, _TRACK_ERROR)
    model, free = adjusted_reconstructions(database, rings, motion, pairs)
    reason = doubt(model, rings) or doubt(free, rings)
    if reason:
        return reason
    left_out = sum(map(len, positions)) - model.num_reg_images()
    log.info(
        "  solved from the motion of the turntable: %d camera positions, %d photos%s",
        *(len(rings), model.num_reg_images(), f", {left_out} left out" if left_out else ""),
    )
    errors = [either.compute_mean_reprojection_error() for either in (model, free)]
    log.debug("errors of %.3f pixels with the motion, %.3f with free poses", *errors)
    return model if errors[0] < FREE_BETTER * errors[1] else free


def _fit_closed(
    rings: Sequence[Ring], within: Sequence[PairMatches], camera: pycolmap.Camera
) -> tuple[Sequence[Ring], Sequence[PairMatches], Motion | None, float]:
    """The rings that are closed turns, their matches, the motion, and the cost of the other sense as a factor.

    What is no closed turn spoils the focal length of the others, which are fitted anew without it."""
    motion, other = None, 0.0
    while rings:
        motion, other = fit_sense(rings, within, camera) if within else (None, 0.0)
        agree = agreeing(rings, within, motion, camera, _AGREES) if motion else []
        good = [number for number, ring in enumerate(rings) if ring_holds(ring, number, within, agree)]
        if len(good) == len(rings):
            break
        rings, within = _chosen(rings, within, good)
    return rings, within, motion, other


def _fit_joined(
    rings: Sequence[Ring], within: Sequence[PairMatches], motion: Motion, camera: pycolmap.Camera
) -> tuple[Sequence[Ring], Sequence[PairMatches], Motion]:
    """The rings that can be joined, the matches within and across them, and the motion that suits all together."""
    joined, motion = join_rings(rings, motion, camera)
    while True:
        pairs = [pair for pair in within if pair.a in joined]
        pairs += match_pairs(rings, across(rings, motion, joined))
        for error in _FIT_ERRORS:
            few = thinned(agreeing(rings, pairs, motion, camera, error), _FIT_MATCHES)
            motion, _ = fit(rings, few, camera, motion, places=True)
        confirmed = connected_rings(rings, joined, pairs, agreeing(rings, pairs, motion, camera, _AGREES))
        log.debug("joint fit: focal %.0f, pitches %s", motion.focal, motion.tilts[:, 0].round(2))
        if len(confirmed) == len(joined):
            break
        joined = confirmed
    return *_chosen(rings, pairs, joined), motion.part(joined)


def _chosen(
    rings: Sequence[Ring], pairs: Sequence[PairMatches], numbers: Sequence[int]
) -> tuple[list[Ring], list[PairMatches]]:
    """Some of the rings, and the pairs between them, numbered anew."""
    new = {number: i for i, number in enumerate(numbers)}
    kept = [replace(p, a=new[p.a], b=new[p.b]) for p in pairs if p.a in new and p.b in new]
    return [rings[number] for number in numbers], kept
