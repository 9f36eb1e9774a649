"""The scene frame of captures: upright, centred on the object, the object as large as configs expect it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from datasets.poses import focus_point, mean_up
from utils.errors import ConfigError

OBJECT_RADIUS = 0.5  # of the object in the scene frame: what the configs of instant-nsr-pl for COLMAP expect
UpMethod = Literal["camera", "ground"]
CentreMethod = Literal["lookat", "camera", "point"]
_MARGIN = 1.15  # around the points that most cameras see
_PLANES, _MOST_POINTS = 512, 20_000


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
    scale = OBJECT_RADIUS / (radius or object_radius(c2w[:, :, 3], sparse, origin))
    found = np.eye(4)
    found[:3, :3] = scale * _rotation_to_z(upward)
    found[:3, 3] = -found[:3, :3] @ origin
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
    """(3,) normal of the plane that holds most of the points (K, 3), on the side of the point `above` (3,).

    RANSAC (Fischler and Bolles 1981) with fixed random numbers, refined by least squares."""
    random = np.random.default_rng(0)
    points = points[random.permutation(len(points))[:_MOST_POINTS]]
    threshold = 0.02 * np.median(np.linalg.norm(points - np.median(points, axis=0), axis=1))
    best, most = None, -1
    for corners in random.integers(0, len(points), (_PLANES, 3)):
        a, b, c = points[corners]
        normal = np.cross(b - a, c - a)
        length = np.linalg.norm(normal)
        if length < 1e-12:
            continue
        near = np.abs((points - a) @ (normal / length)) < threshold
        if near.sum() > most:
            best, most = near, near.sum()
    chosen = points if best is None else points[best]
    middle = chosen.mean(axis=0)
    normal = np.linalg.svd(chosen - middle, full_matrices=False)[2][-1]
    return normal if normal @ (above - middle) >= 0.0 else -normal


def _rotation_to_z(up: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that turns the unit vector `up` (3,) into +z."""
    across = np.cross(np.eye(3)[np.abs(up).argmin()], up)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(up, across), up])
