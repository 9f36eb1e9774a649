"""The scene frame of posed photographs: upright, centred on the object, scaled to the size that configs expect."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from datasets.geometry.axes import focus_point, mean_up
from datasets.geometry.planes import find_plane, fit_plane
from utils.errors import ConfigError

OBJECT_RADIUS = 0.5  # of the object in the scene frame; the configs of instant-nsr-pl for COLMAP expect it
UpMethod = Literal["camera", "ground"]
CentreMethod = Literal["lookat", "camera", "point"]
_MARGIN = 1.15  # around the well-observed points


@dataclass(frozen=True)
class SparsePoints:
    """Points of a sparse reconstruction."""

    points: np.ndarray  # (K, 3) float64, in the frame of the cameras
    track_lengths: np.ndarray  # (K,) int64 observations of each point

    @property
    def well_observed(self) -> np.ndarray:
        """(k, 3): the points with at least as many observations as the median point."""
        return self.points[self.track_lengths >= np.median(self.track_lengths)]


def scene_from_world(
    c2w: np.ndarray, sparse: SparsePoints | None, up: UpMethod, centre: CentreMethod, radius: float | None
) -> np.ndarray:
    """(4, 4) float64 similarity that turns `up` to +z, moves `centre` to 0 and scales the object to OBJECT_RADIUS.

    c2w: (N, 3, 4) float64; radius: of the object in their units, None: estimated, see `object_radius`. Raises
    ConfigError where a method needs points and there are none."""
    for key, method, needs_points in (("up", up, "ground"), ("center", centre, "point")):
        if method == needs_points and (sparse is None or len(sparse.points) < 3):
            raise ConfigError(
                f"dataset.{key}_est_method={method}: needs the points of a sparse reconstruction, and there are none. "
                f"Set dataset.{key}_est_method=camera."
            )
    origin = {
        "lookat": lambda: focus_point(c2w),
        "camera": lambda: c2w[:, :, 3].mean(axis=0),
        "point": lambda: np.median(sparse.well_observed, axis=0),
    }[centre]()
    upward = mean_up(c2w) if up == "camera" else ground_normal(sparse.points, c2w[:, :, 3].mean(axis=0))
    return upright_frame(origin, radius or object_radius(c2w[:, :, 3], sparse, origin), upward)


def upright_frame(center: np.ndarray, radius: float, up: np.ndarray) -> np.ndarray:
    """(4, 4) float64 similarity that takes a sphere to radius OBJECT_RADIUS around 0 and the unit vector `up` to +z."""
    similarity = np.eye(4)
    similarity[:3, :3] = OBJECT_RADIUS / radius * rotation_to_z(up)
    similarity[:3, 3] = -similarity[:3, :3] @ center
    return similarity


def move_cameras(c2w: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """(N, 3, 4) cameras, transformed by a similarity (4, 4); their rotations stay orthonormal."""
    scale = np.cbrt(np.linalg.det(similarity[:3, :3]))
    rotation = similarity[:3, :3] / scale @ c2w[:, :, :3]
    position = c2w[:, :, 3] @ similarity[:3, :3].T + similarity[:3, 3]
    return np.concatenate([rotation, position[:, :, None]], axis=2)


def move_direction(direction: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """(3,) a direction (3,), turned by a similarity (4, 4); of unit length."""
    turned = similarity[:3, :3] @ direction
    return turned / np.linalg.norm(turned)


def object_radius(positions: np.ndarray, sparse: SparsePoints | None, origin: np.ndarray) -> float:
    """Radius of the object around `origin` (3,), in the units of the cameras at `positions` (N, 3).

    The sphere contains 95 % of the well-observed points, since people point cameras at the object. The radius is at
    most 0.9 of the distance of the nearest camera, and half of that distance where there are no points."""
    nearest = max(float(np.linalg.norm(positions - origin, axis=1).min()), 1e-9)
    if sparse is None or len(sparse.points) < 3:
        return 0.5 * nearest
    distances = np.linalg.norm(sparse.well_observed - origin, axis=1)
    return float(np.clip(_MARGIN * np.quantile(distances, 0.95), 0.05 * nearest, 0.9 * nearest))


def ground_normal(points: np.ndarray, above: np.ndarray) -> np.ndarray:
    """(3,) normal of the plane with most of the points (K, 3), on the side of the point `above` (3,)."""
    threshold = 0.02 * np.median(np.linalg.norm(points - np.median(points, axis=0), axis=1))
    return (find_plane(points, threshold, above) or fit_plane(points, above)).normal


def rotation_to_z(up: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that turns the unit vector `up` (3,) into +z."""
    across = np.cross(np.eye(3)[np.abs(up).argmin()], up)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(up, across), up])
