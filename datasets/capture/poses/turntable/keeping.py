"""Poses of a turntable that a general mapper found, held to its motion: one axis, a camera at rest for each ring."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from datasets.capture.poses.ring_motion import ring_motion
from datasets.capture.poses.turntable.bundle import adjust_to_motion
from datasets.capture.poses.turntable.checks import FREE_BETTER, UNEVEN
from datasets.capture.poses.turntable.motion import Motion, look, turn
from datasets.capture.poses.turntable.rings import Ring, read_rings

log = logging.getLogger(__name__)
_MIN_PHOTOS = 3  # of a ring, for its axis
_ROUNDS = 2  # of the adjustment: how far photos are off even steps is known after the first


@dataclass(frozen=True)
class _Axis:
    """The axis of a turntable: x -> rotation (x - centre) makes it the z axis, upwards."""

    rotation: np.ndarray  # (3, 3)
    centre: np.ndarray  # (3,)


def keep_to_motion(
    model: pycolmap.Reconstruction, database: Path, positions: Sequence[Sequence[str]]
) -> pycolmap.Reconstruction:
    """The model with its cameras on rings round one axis, adjusted with its points; the model itself where that does
    not suit it.

    database: of COLMAP, with the features of the model's photos; positions: for each camera position, the names of its
    photos in the order of one closed turn. Free poses have six unknowns a photo and give way to whatever pulls features
    to one side: passing shadows, highlights, outlines. A camera at rest has six for a whole ring.

    The model stays as it is where photos of a ring are missing, steps are not about even, lenses differ, or the
    reprojection error of free poses is lower by a factor of 1.25."""
    names = {image.name for image in model.images.values() if image.has_pose}
    kept = [position for position in positions if set(position) <= names and len(position) >= _MIN_PHOTOS]
    if sum(map(len, kept)) != len(names):
        return _stays(model, "photos of it are missing")
    rings, cameras = read_rings(database, kept)
    if len(cameras) > 1:
        return _stays(model, "it has several lenses")
    moved = pycolmap.Reconstruction(model)
    axis = _axis(moved, rings)
    moved.transform(pycolmap.Sim3d(1.0, pycolmap.Rotation3d(axis.rotation), -axis.rotation @ axis.centre))
    motion, shifts = _motion(moved, rings)
    if any(np.median(np.abs(own)) > UNEVEN * ring.step for own, ring in zip(shifts, rings, strict=True)):
        return _stays(model, "its steps are not even, or it is no closed turn")
    found = np.concatenate(shifts)
    for _ in range(_ROUNDS):
        motion, found = adjust_to_motion(moved, rings, motion, found)
    errors = [either.compute_mean_reprojection_error() for either in (moved, model)]
    log.debug("errors of %.3f pixels on one axis, %.3f with free poses", *errors)
    if errors[0] > FREE_BETTER * errors[1]:
        return _stays(model, "free poses fit clearly better")
    log.info("  cameras keep to the motion of the turntable: one axis, %d camera positions", len(rings))
    return moved


def _stays(model: pycolmap.Reconstruction, reason: str) -> pycolmap.Reconstruction:
    log.info("  cameras are not held to the motion of a turntable: %s", reason)
    return model


def _poses(model: pycolmap.Reconstruction, ring: Ring) -> np.ndarray:
    """(N, 3, 4) from the world to the cameras of a ring."""
    return np.stack([model.images[image_id].cam_from_world().matrix() for image_id in ring.image_ids])


def _axis(model: pycolmap.Reconstruction, rings: Sequence[Ring]) -> _Axis:
    """The axis that the cameras go round: the mean of those of the rings, and one centre for all their circles."""
    axes, centres, ahead = [], [], np.zeros(3)
    for ring in rings:
        poses = _poses(model, ring)
        to_world = poses[:, :, :3].transpose(0, 2, 1)
        centres.append(-np.einsum("nij,nj->ni", to_world, poses[:, :, 3]))
        axis = ring_motion(np.concatenate([to_world, centres[-1][:, :, None]], axis=2)).axis
        axes.append(axis * np.sign(axis @ axes[0]) if axes else axis)
        ahead += to_world[:, :, 2].mean(axis=0)
    up = np.mean(axes, axis=0)
    up *= -1.0 if ahead @ up > 0.0 else 1.0  # cameras look down at what stands on a disc
    up /= np.linalg.norm(up)
    across = np.linalg.svd(up[None])[2][1:]
    rotation = np.stack([across[0], np.cross(up, across[0]), up])
    flat = [points @ rotation[:2].T for points in centres]
    each = np.repeat(np.eye(len(rings)), [len(points) for points in flat], axis=0)
    every = np.concatenate(flat)
    middle = np.linalg.lstsq(np.concatenate([2.0 * every, each], axis=1), np.square(every).sum(axis=1), rcond=None)[0]
    return _Axis(rotation, middle[:2] @ rotation[:2])


def _motion(model: pycolmap.Reconstruction, rings: Sequence[Ring]) -> tuple[Motion, list[np.ndarray]]:
    """The motion that poses round the z axis are nearest to, and by how much (N,) each photo of each ring is off its
    even step, radians."""
    tilts, places, turns = [], [], []
    for ring in rings:
        poses = _poses(model, ring)
        centres = -np.einsum("nji,nj->ni", poses[:, :, :3], poses[:, :, 3])
        turns.append(-np.arctan2(centres[:, 1], centres[:, 0]))
        looks = Rotation.from_matrix(poses[:, :, :3] @ turn(turns[-1]).transpose(0, 2, 1)).mean().as_matrix()
        tilts.append(_tilt(looks))
        places.append([np.median(np.linalg.norm(centres[:, :2], axis=1)), np.median(centres[:, 2]), 0.0])
    steps = np.concatenate([np.angle(np.exp(1j * np.diff(own))) for own in turns])
    sense = 1 if np.median(steps) > 0.0 else -1
    shifts = []
    for place, own, ring in zip(places, turns, rings, strict=True):
        off = own - sense * ring.step * np.arange(len(ring))
        place[2] = float(np.angle(np.exp(1j * off).mean()))
        shifts.append(np.angle(np.exp(1j * (off - place[2]))))
    focal = next(iter(model.cameras.values())).mean_focal_length()
    return Motion(focal, sense, np.array(tilts), np.array(places)), shifts


def _tilt(rotation: np.ndarray) -> np.ndarray:
    """(3,) the angles of `look` for a rotation (3, 3)."""
    start = [np.arctan2(-rotation[2, 2], -rotation[2, 0]), 0.0, 0.0]
    return least_squares(lambda angles: (look(*angles) - rotation).ravel(), start).x
