"""What a structure from motion is worth, and why it failed where it did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pycolmap

from datasets.capture.frames.motion import BLURRED
from datasets.capture.frames.stage import Frame
from datasets.capture.poses.features import MIN_MATCHES
from datasets.capture.poses.pairs import Pair, connected_parts
from datasets.geometry.axes import focus_point, mean_up

_SECTORS = 12  # of the circle around the object
_LEVEL = 0.03  # mean square of a coordinate of unit vectors that counts as none: 10 degrees
_FEW_FEATURES, _FEW_MATCHES = 600, 40  # in the usual image; between the usual neighbours


@dataclass(frozen=True)
class Survey:
    """A model in figures; `asdict` is what the report says."""

    registered: int
    frames: int
    reprojection_error: float  # pixels
    points: int
    observations: int
    track_length: float  # frames that see the mean point
    sectors: int  # of the circle around the object that hold a camera
    azimuth_histogram: list[int]  # cameras per sector, see `around`
    elevation_degrees: list[float]  # lowest and highest camera, seen from where all look
    elevation_histogram: list[int]  # cameras per 15 degrees from -90 to 90


@dataclass(frozen=True)
class Evidence:
    """What is known of the images before they are placed."""

    frames: Sequence[Frame]
    video: bool
    num_features: Sequence[int]  # of each frame
    matches: Mapping[Pair, int]  # verified, by the places of the two frames


def survey(model: pycolmap.Reconstruction, num_frames: int) -> Survey:
    """The figures of a model with cameras, of `num_frames` images that it was to hold."""
    c2w = np.stack([model.images[i].cam_from_world().inverse().matrix() for i in model.reg_image_ids()])
    azimuth, elevation = directions(c2w)
    cameras = around(azimuth)
    return Survey(
        registered=len(c2w),
        frames=num_frames,
        reprojection_error=model.compute_mean_reprojection_error(),
        points=model.num_points3D(),
        observations=model.compute_num_observations(),
        track_length=model.compute_mean_track_length(),
        sectors=int((cameras > 0).sum()),
        azimuth_histogram=cameras.tolist(),
        elevation_degrees=[float(elevation.min()), float(elevation.max())],
        elevation_histogram=np.histogram(elevation, 12, (-90.0, 90.0))[0].tolist(),
    )


def directions(c2w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth (N,) in [-180, 180] and elevation (N,) in [-90, 90] degrees of cameras (N, 3, 4), from where all look.

    Azimuth 0 is towards the first camera."""
    up = level_up(c2w)
    offsets = c2w[:, :, 3] - focus_point(c2w)
    offsets /= np.maximum(np.linalg.norm(offsets, axis=1, keepdims=True), 1e-12)
    height = offsets @ up
    flat = offsets - height[:, None] * up
    ahead = flat[0] / max(np.linalg.norm(flat[0]), 1e-12)
    azimuth = np.degrees(np.arctan2(flat @ np.cross(up, ahead), flat @ ahead))
    return azimuth, np.degrees(np.arcsin(height.clip(-1.0, 1.0)))


def around(azimuth: np.ndarray) -> np.ndarray:
    """(12,) how many cameras stand in each sector of the circle, from their azimuths (N,) in degrees.

    The first sector has the first camera in its middle, not on its edge where rounding would choose the sector; so
    cameras an equal angle apart, the usual turntable, fill the sectors equally too."""
    sector = np.rint(azimuth * _SECTORS / 360.0).astype(int) % _SECTORS
    return np.bincount(sector, minlength=_SECTORS)


def level_up(c2w: np.ndarray) -> np.ndarray:
    """(3,) unit up direction of cameras (N, 3, 4): across the horizontal axis of all of them, which people hold level.

    The mean of their own up leans over where they stand on one side of the object only. It serves where their
    horizontal axes leave the direction open, or are not level."""
    right = c2w[:, :, 0]
    spread, axes = np.linalg.eigh(right.T @ right / len(right))
    mean = mean_up(c2w)
    if spread[0] > _LEVEL or spread[1] < _LEVEL:
        return mean
    return axes[:, 0] if axes[:, 0] @ mean >= 0.0 else -axes[:, 0]


def explain(evidence: Evidence) -> str:
    """One or more sentences: why frames could not be placed, and what to do."""
    num = len(evidence.frames)
    blurred = sum(frame.blur > BLURRED for frame in evidence.frames)
    usual = float(np.median(evidence.num_features))
    neighbours = [evidence.matches.get((i, i + 1), 0) for i in range(num - 1)]
    parts = connected_parts(list(evidence.matches), num)
    found = []
    if blurred > 0.3 * num:
        found.append(
            f"{blurred} of {num} images are blurred: hold the camera still or move it more slowly, in more light, and "
            f"let it focus"
        )
    if usual < _FEW_FEATURES:
        found.append(
            f"the usual image has only {usual:.0f} features, too little texture: put the object on a newspaper or a "
            f"patterned cloth, and avoid glossy things and bare walls"
        )
    if evidence.video and np.median(neighbours) < _FEW_MATCHES:
        found.append(
            f"neighbouring frames share only {np.median(neighbours):.0f} features, the camera moves too fast: film "
            f"more slowly, or raise --frames"
        )
    if len(parts) > 1:
        sizes = ", ".join(str(len(part)) for part in parts[:5]) + (", ..." if len(parts) > 5 else "")
        found.append(
            f"no overlap between {len(parts)} groups of images ({sizes} images; a pair counts from {MIN_MATCHES} "
            f"common features on): take images between them, at most 15 degrees apart"
        )
    if not found:
        found.append(
            "the images overlap, but the camera hardly changes its place between them, or parts of the scene move: "
            "walk around the object instead of turning on the spot, and let nothing else move"
        )
    return "Why: " + "; ".join(found) + "."
