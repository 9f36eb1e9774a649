"""The plane that an object stands on, from the sparse points: with much texture, with little, or with none."""

import numpy as np

from datasets.geometry.planes import Plane, find_plane

_MIN_GROUND_SHARE = 0.08  # of the near points in a plane that counts as the ground, wherever it lies
_LOW_SHARE = 0.15  # of the near points, the lowest: a plain table has few points, but they are there
_MIN_LOW_POINTS = 20  # in a plane through the lowest points
_MIN_REACH = 1.2  # of the points above it: a table reaches beyond the object, the underside of an object does not
_MAX_BELOW = 0.02  # of the near points may lie below it
_MAX_TILT = 25.0  # degrees between it and the up direction of the cameras, which people hold by hand
_BASE_SHARE = 0.01  # of the points of an object lie below its base: outliers


def support_plane(points: np.ndarray, positions: np.ndarray, thickness: float) -> Plane | None:
    """The plane that an object stands on or hangs from: the cameras and nearly all points are on one side of it.

    points: (K, 3) near the object; positions: (N, 3) of the cameras; thickness: the distance within which points
    belong to the plane, to either side. None where no plane has enough of the points."""

    def score(heights: np.ndarray, threshold: float) -> float:
        behind = heights < -2.0 * threshold
        return float((np.abs(heights) < threshold).sum() - 3.0 * behind.sum())

    def accept(plane: Plane) -> bool:
        return bool((plane.height(positions) > 0.0).mean() >= 0.98)

    plane = find_plane(points, thickness, positions.mean(axis=0), score, accept)
    if plane is None or (np.abs(plane.height(points)) < thickness).mean() < _MIN_GROUND_SHARE:
        return None
    return plane


def low_plane(points: np.ndarray, positions: np.ndarray, up: np.ndarray, thickness: float) -> Plane | None:
    """The plane of a table that has little texture: among the lowest of the points (K, 3) along `up` (3,), level, with
    next to nothing below it, and wider than what is above it. None where there is no such plane.

    positions: (N, 3) of the cameras, all above it; thickness: see `support_plane`."""
    heights = points @ up
    low = points[heights <= np.quantile(heights, _LOW_SHARE)]

    def score(heights: np.ndarray, threshold: float) -> float:
        return float((np.abs(heights) < threshold).sum() - 3.0 * (heights < -2.0 * threshold).sum())

    def accept(plane: Plane) -> bool:
        level = plane.normal @ up >= np.cos(np.radians(_MAX_TILT))
        return bool(level and (plane.height(positions) > 0.0).mean() >= 0.98)

    plane = find_plane(low, thickness, positions.mean(axis=0), score, accept) if len(low) >= 3 else None
    if plane is None or not accept(plane) or (np.abs(plane.height(low)) < thickness).sum() < _MIN_LOW_POINTS:
        return None
    heights = plane.height(points)
    if (heights < -2.0 * thickness).mean() > _MAX_BELOW:
        return None
    above, within = points[heights > 2.0 * thickness], points[np.abs(heights) < thickness]
    wide = len(above) > 0 and _reach(plane, within) > _MIN_REACH * _reach(plane, above)
    return plane if wide else None


def _reach(plane: Plane, points: np.ndarray) -> float:
    """The distance along a plane within which nine tenths of the points (K, 3) lie from their middle."""
    flat = plane.project(points)
    return float(np.quantile(np.linalg.norm(flat - np.median(flat, axis=0), axis=1), 0.9))


def base_plane(points: np.ndarray, positions: np.ndarray, up: np.ndarray) -> Plane | None:
    """The level plane below the points (K, 3) of an object that stands on something without any texture. None where
    there are no points, or the cameras (N, 3) are not above it: then it is not seen that it stands on anything."""
    if not len(points):
        return None
    plane = Plane(up, float(np.quantile(points @ up, _BASE_SHARE)))
    return plane if (plane.height(positions) > 0.0).mean() >= 0.98 else None
