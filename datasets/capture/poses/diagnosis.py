"""Statistics of a reconstruction, and the likely reasons why images could not be registered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pycolmap

from datasets.capture.frames.frame_list import Frame
from datasets.capture.frames.motion import BLURRED
from datasets.capture.poses.pairs import Pair, connected_components
from datasets.geometry.axes import focus_point, level_up
from datasets.points.sift import MIN_MATCHES

_SECTORS = 12  # of the circle around the object
_FEW_FEATURES, _FEW_MATCHES = 600, 40  # in the median image; between the median pair of neighbours


@dataclass(frozen=True)
class ModelStatistics:
    """The figures of a model; `asdict` is what the report contains."""

    registered: int
    frames: int
    reprojection_error: float  # pixels
    points: int
    observations: int
    track_length: float  # mean number of frames that observe a point
    sectors: int  # of the circle around the object that contain a camera
    azimuth_histogram: list[int]  # cameras per sector, see `cameras_per_sector`
    elevation_degrees: list[float]  # lowest and highest camera, seen from the point that the cameras look at
    elevation_histogram: list[int]  # cameras per 15 degrees from -90 to 90


@dataclass(frozen=True)
class MatchStatistics:
    """What is known of the images before any of them is registered."""

    frames: Sequence[Frame]
    is_video: bool
    num_features: Sequence[int]  # of each frame
    num_matches: Mapping[Pair, int]  # verified matches, by the indices of the two frames


def model_statistics(model: pycolmap.Reconstruction, num_frames: int) -> ModelStatistics:
    """The figures of a model with cameras, reconstructed from `num_frames` images."""
    c2w = np.stack([model.images[i].cam_from_world().inverse().matrix() for i in model.reg_image_ids()])
    azimuth, elevation = directions(c2w)
    per_sector = cameras_per_sector(azimuth)
    return ModelStatistics(
        registered=len(c2w),
        frames=num_frames,
        reprojection_error=model.compute_mean_reprojection_error(),
        points=model.num_points3D(),
        observations=model.compute_num_observations(),
        track_length=model.compute_mean_track_length(),
        sectors=int((per_sector > 0).sum()),
        azimuth_histogram=per_sector.tolist(),
        elevation_degrees=[float(elevation.min()), float(elevation.max())],
        elevation_histogram=np.histogram(elevation, 12, (-90.0, 90.0))[0].tolist(),
    )


def directions(c2w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth (N,) in [-180, 180] and elevation (N,) in [-90, 90] degrees of cameras (N, 3, 4), seen from the point
    that they look at. Azimuth 0 is towards the first camera."""
    up = level_up(c2w)
    offsets = c2w[:, :, 3] - focus_point(c2w)
    offsets /= np.maximum(np.linalg.norm(offsets, axis=1, keepdims=True), 1e-12)
    height = offsets @ up
    horizontal = offsets - height[:, None] * up
    ahead = horizontal[0] / max(np.linalg.norm(horizontal[0]), 1e-12)
    azimuth = np.degrees(np.arctan2(horizontal @ np.cross(up, ahead), horizontal @ ahead))
    return azimuth, np.degrees(np.arcsin(height.clip(-1.0, 1.0)))


def cameras_per_sector(azimuth: np.ndarray) -> np.ndarray:
    """(12,) the number of cameras in each sector of the circle, from their azimuths (N,) in degrees.

    The first camera is in the middle of the first sector, not on its edge, where rounding would choose the sector. So
    cameras at equal angles, as on a turntable, fill the sectors equally."""
    sector = np.rint(azimuth * _SECTORS / 360.0).astype(int) % _SECTORS
    return np.bincount(sector, minlength=_SECTORS)


def explain_failure(statistics: MatchStatistics) -> str:
    """One sentence with the likely reasons why images could not be registered, and what to do."""
    num = len(statistics.frames)
    num_blurred = sum(frame.blur > BLURRED for frame in statistics.frames)
    median_features = float(np.median(statistics.num_features))
    neighbours = [statistics.num_matches.get((i, i + 1), 0) for i in range(num - 1)]
    components = connected_components(list(statistics.num_matches), num)
    reasons = []
    if num_blurred > 0.3 * num:
        reasons.append(
            f"{num_blurred} of {num} images are blurred: hold the camera still or move it more slowly, in more light, "
            f"and let it focus"
        )
    if median_features < _FEW_FEATURES:
        reasons.append(
            f"the median image has only {median_features:.0f} features, too little texture: put the object on a "
            f"newspaper or a patterned cloth, and avoid glossy things and bare walls"
        )
    if statistics.is_video and np.median(neighbours) < _FEW_MATCHES:
        reasons.append(
            f"neighbouring frames share only {np.median(neighbours):.0f} features, the camera moves too fast: film "
            f"more slowly, or raise --frames"
        )
    if len(components) > 1:
        sizes = ", ".join(str(len(part)) for part in components[:5]) + (", ..." if len(components) > 5 else "")
        reasons.append(
            f"no overlap between {len(components)} groups of images ({sizes} images; a pair overlaps if it has at "
            f"least {MIN_MATCHES} verified matches): take images between them, at most 15 degrees apart"
        )
    if not reasons:
        reasons.append(
            "the images overlap, but the camera hardly moves between them, or parts of the scene move: walk around the "
            "object instead of turning on the spot, and let nothing else move"
        )
    return "Why: " + "; ".join(reasons) + "."
