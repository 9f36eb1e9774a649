"""Solves a turntable from its motion: rings of photos at even steps round one axis, joined and bundle adjusted."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap

from datasets.capture.poses.turntable.bundle import adjusted_reconstruction
from datasets.capture.poses.turntable.fit import agreeing, fit, fit_sense, thinned
from datasets.capture.poses.turntable.joining import across, join_rings
from datasets.capture.poses.turntable.motion import Motion
from datasets.capture.poses.turntable.rings import PairMatches, Ring, match_pairs, neighbours, read_rings
from datasets.files.quiet_colmap import quiet

log = logging.getLogger(__name__)
_MIN_PHOTOS = 8  # of a ring: 45 degrees between two, beyond which SIFT does not match
_CLOSED = 0.5  # of the matches that the poorest neighbours have, at least, where the turn closes
_AS_NEARLY = 1.4  # times the distance of descriptors that the poorest neighbours have, at most, where the turn closes
_SENSE_IN_DOUBT = 1.05  # the cost of the other sense, as a factor, up to which the sense is in doubt
_MIN_AGREEING = 0.4  # share of the matches within rings that agree with the motion
_AGREES = 2.0  # pixels
_FIT_ERRORS, _FIT_MATCHES = (12.0, 4.0), 40  # pixels that matches may be off before each joint fit; matches of a pair
_TRACK_ERROR = 4.0  # pixels off the epipolar line, of matches that become points
_UNEVEN = 0.25  # of a step: how far the free poses may be from even steps, in the median
_MAX_ERROR = 1.5  # pixels, the mean reprojection error
_MIN_POINTS = 50


def solve_turntable(database: Path, positions: Sequence[Sequence[str]]) -> pycolmap.Reconstruction | None:
    """Camera poses and points in the frame of the object on a turntable; None, and a line in the log, without a
    solution that holds.

    database: of COLMAP, with cameras, images and SIFT features on what turns only; its matches are neither needed nor
    changed. Photos have one size and one lens. positions: for each camera position, the names of its photos in the
    order of the turn: at least 8, at even steps over one closed turn. Positions that are not so, and those that do not
    join the others, are left out.

    The steps are known, so that a ring has few unknowns: the focal length, three angles of the camera at rest, and the
    sense of the turn. They follow from Sampson distances of matches between near photos of a ring, and look-alike sides
    cannot fold. Matches between rings determine azimuth, distance and height of each against the others. Then poses,
    focal length and distortion are free in a bundle adjustment, which must keep to the steps. The result has no colours
    (`extract_colors_for_all_images` gives them); its z axis is the axis of the turntable, upwards."""
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
    if len({(camera.width, camera.height, camera.model) for camera in cameras}) > 1:
        return "its photos have several sizes or lenses"
    camera = cameras[0]
    within = match_pairs(rings, [pair for number, ring in enumerate(rings) for pair in neighbours(ring, number)])
    closed = [number for number, ring in enumerate(rings) if _closes(ring, number, within)]
    if not closed:
        return "no camera position has photos of one closed turn at even steps: the last and the first do not match"
    rings, within = _chosen(rings, within, closed)
    motion, other = fit_sense(rings, within, camera)
    share = _share(agreeing(rings, within, motion, camera, _AGREES), within)
    log.debug(
        "focal %.0f, sense %d, the other costs %.2f times as much, %.2f agree",
        *(motion.focal, motion.sense),
        *(other, share),
    )
    if share < _MIN_AGREEING:
        return f"only {share:.0%} of the matches agree with even steps round one axis"
    if other < _SENSE_IN_DOUBT:
        return f"the sense of the turn is in doubt, the other one costs only {other:.2f} times as much"
    joined, motion = join_rings(rings, motion, camera)
    motion, pairs = _fit_joined(rings, within, joined, motion, camera)
    rings, pairs = _chosen(rings, pairs, joined)
    motion = motion.part(joined)
    model = adjusted_reconstruction(database, rings, motion, agreeing(rings, pairs, motion, camera, _TRACK_ERROR))
    reason = _doubt(model, rings)
    if reason is None:
        left_out = sum(map(len, positions)) - model.num_reg_images()
        log.info(
            "  solved from the motion of the turntable: %d camera positions, %d photos%s",
            len(rings),
            model.num_reg_images(),
            f", {left_out} left out" if left_out else "",
        )
    return reason or model


def _closes(ring: Ring, number: int, within: Sequence[PairMatches]) -> bool:
    """Whether the last photo and the first match about as often and as nearly as the poorest of the other neighbours:
    a back that looks like the front matches too, but less nearly."""
    counts, distances = np.zeros(len(ring)), np.full(len(ring), np.inf)
    for pair in within:
        if pair.a == number and pair.j == (pair.i + 1) % len(ring):
            counts[pair.i], distances[pair.i] = len(pair.features), np.median(pair.distances)
    often = counts[-1] >= _CLOSED * np.quantile(counts[:-1], 0.1)
    return bool(often and distances[-1] <= _AS_NEARLY * np.quantile(distances[:-1], 0.9, method="lower"))


def _chosen(
    rings: Sequence[Ring], pairs: Sequence[PairMatches], numbers: Sequence[int]
) -> tuple[list[Ring], list[PairMatches]]:
    """Some of the rings, and the pairs between them, numbered anew."""
    new = {number: i for i, number in enumerate(numbers)}
    kept = [replace(p, a=new[p.a], b=new[p.b]) for p in pairs if p.a in new and p.b in new]
    return [rings[number] for number in numbers], kept


def _share(some: Sequence[PairMatches], whole: Sequence[PairMatches]) -> float:
    return sum(len(pair.features) for pair in some) / max(sum(len(pair.features) for pair in whole), 1)


def _fit_joined(
    rings: Sequence[Ring], within: Sequence[PairMatches], joined: Sequence[int], motion: Motion, camera: pycolmap.Camera
) -> tuple[Motion, list[PairMatches]]:
    """The motion that suits the joined rings together, and the matches within and across rings."""
    pairs = [*within, *match_pairs(rings, across(rings, motion, joined))]
    pairs = [pair for pair in pairs if pair.a in joined]
    for error in _FIT_ERRORS:
        few = thinned(agreeing(rings, pairs, motion, camera, error), _FIT_MATCHES)
        motion = fit(rings, few, camera, motion, places=True)[0]
        log.debug(
            "joint fit: focal %.0f, tilts %s, places %s",
            motion.focal,
            np.degrees(motion.tilts).round(1).tolist(),
            motion.places.round(3).tolist(),
        )
    return motion, pairs


def _doubt(model: pycolmap.Reconstruction, rings: Sequence[Ring]) -> str | None:
    """Why the bundle adjusted reconstruction is not to be trusted."""
    error = model.compute_mean_reprojection_error()
    if model.num_points3D() < _MIN_POINTS or error > _MAX_ERROR:
        return f"{model.num_points3D()} points fit the photos, with an error of {error:.1f} pixels"
    for number, ring in enumerate(rings, start=1):
        off = np.abs(uneven(model, ring))
        log.debug(
            "position %d: steps off by %.2f degrees in the median, %.2f at most",
            number,
            *np.degrees([np.median(off), off.max()]),
        )
        if np.median(off) > _UNEVEN * ring.step or off.max() > ring.step:
            return (
                f"with free poses, the steps of camera position {number} differ by {np.degrees(np.median(off)):.1f} "
                f"degrees from even ones of {np.degrees(ring.step):.1f}"
            )
    return None


def uneven(model: pycolmap.Reconstruction, ring: Ring) -> np.ndarray:
    """(N,) how far the turn from each photo of a ring to the next is from an even step, radians."""
    poses = [model.images[image_id].cam_from_world().rotation for image_id in ring.image_ids]
    turns = [(after * before.inverse()).angle() for before, after in zip(poses, poses[1:] + poses[:1], strict=True)]
    return np.array(turns) - ring.step
