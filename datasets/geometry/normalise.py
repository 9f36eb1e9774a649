"""The scene frame of captures: upright, centred on the object, the object as large as configs expect it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from datasets.geometry.axes import focus_point, mean_up
from datasets.geometry.planes import find_plane, fit_plane
from utils.errors import ConfigError

OBJECT_RADIUS = 0.5  # of the object in the scene frame: what the configs of instant-nsr-pl for COLMAP expect
UpMethod = Literal["camera", "ground"]
CentreMethod = Literal["lookat", "camera", "point"]
_MARGIN = 1.15  # around the points that most cameras see


@dataclass(frozen=True)
class Sparse:
    """Points of a sparse reconstruction."""

    points: np.ndarray  # (K, 3) float64, in the frame of the cameras
    views: np.ndarray  # (K,) int64 cameras that see each

    @property
    def well_seen(self) -> np.ndarray:
        """(k, 3): the points that at least as many cameras see as the median point."""
        return self.points[self.views >= np.median(self.views)]


def scene_from_world(
    c2w: np.ndarray, sparse: Sparse | None, up: UpMethod, centre: CentreMethod, radius: float | None
) -> np.ndarray:
    """(4, 4) float64 similarity that turns `up` to +z, moves `centre` to 0 and scales the object to OBJECT_RADIUS.

    c2w: (N, 3, 4) float64; radius: of the object in their units, None: estimated, see `object_radius`. Raises
    ConfigError where a method needs points and there are none."""
    for key, method, needy in (("up", up, "ground"), ("center", centre, "point")):
        if method == needy and (sparse is None or len(sparse.points) < 3):
            raise ConfigError(
                f"dataset.{key}_est_method={method}: needs the points of a sparse reconstruction, and there are none. "
                f"Use camera."
            )
    origin = {
        "lookat": lambda: focus_point(c2w),
        "camera": lambda: c2w[:, :, 3].mean(axis=0),
        "point": lambda: np.median(sparse.well_seen, axis=0),
    }[centre]()
    upward = mean_up(c2w) if up == "camera" else ground_normal(sparse.points, c2w[:, :, 3].mean(axis=0))
    return upright_frame(origin, radius or object_radius(c2w[:, :, 3], sparse, origin), upward)


def upright_frame(center: np.ndarray, radius: float, up: np.ndarray) -> np.ndarray:
    """(4, 4) float64 similarity that takes a sphere to radius OBJECT_RADIUS around 0 and the unit vector `up` to +z."""
    found = np.eye(4)
    found[:3, :3] = OBJECT_RADIUS / radius * rotation_to_z(up)
    found[:3, 3] = -found[:3, :3] @ center
    return found


def move_cameras(c2w: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """(N, 3, 4) cameras seen from the frame that a similarity (4, 4) leads to; their rotations stay orthonormal."""
    scale = np.cbrt(np.linalg.det(similarity[:3, :3]))
    rotation = similarity[:3, :3] / scale @ c2w[:, :, :3]
    position = c2w[:, :, 3] @ similarity[:3, :3].T + similarity[:3, 3]
    return np.concatenate([rotation, position[:, :, None]], axis=2)


def object_radius(positions: np.ndarray, sparse: Sparse | None, origin: np.ndarray) -> float:
    """Radius of the object around `origin` (3,), in the units of the cameras at `positions` (N, 3).

    It holds 95 % of the well-seen points: what many cameras see is what they were pointed at. At most 0.9 of the
    distance of the nearest camera; half of that distance where there are no points."""
    nearest = max(float(np.linalg.norm(positions - origin, axis=1).min()), 1e-9)
    if sparse is None or len(sparse.points) < 3:
        return 0.5 * nearest
    distances = np.linalg.norm(sparse.well_seen - origin, axis=1)
    return float(np.clip(_MARGIN * np.quantile(distances, 0.95), 0.05 * nearest, 0.9 * nearest))


def ground_normal(points: np.ndarray, above: np.ndarray) -> np.ndarray:
    """(3,) normal of the plane that holds most of the points (K, 3), on the side of the point `above` (3,)."""
    threshold = 0.02 * np.median(np.linalg.norm(points - np.median(points, axis=0), axis=1))
    return (find_plane(points, threshold, above) or fit_plane(points, above)).normal


def rotation_to_z(up: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that turns the unit vector `up` (3,) into +z."""
    across = np.cross(np.eye(3)[np.abs(up).argmin()], up)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(up, across), up])
