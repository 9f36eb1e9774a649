"""Planes in point clouds, by RANSAC and least squares."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_NUM_TRIALS, _MAX_POINTS = 512, 20_000


@dataclass(frozen=True)
class Plane:
    """The points x with normal @ x = offset; points on the side of the normal have positive height."""

    normal: np.ndarray  # (3,) float64, unit length
    offset: float  # in the units of the points

    def height(self, points: np.ndarray) -> np.ndarray:
        """(...,) signed distance of points (..., 3)."""
        return points @ self.normal - self.offset

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) points (..., 3) projected onto the plane."""
        return points - self.height(points)[..., None] * self.normal


def num_inliers(heights: np.ndarray, threshold: float) -> float:
    """The number of heights (K,) within the threshold: the usual score of RANSAC."""
    return float((np.abs(heights) < threshold).sum())


def find_plane(
    points: np.ndarray,
    threshold: float,
    above: np.ndarray,
    score: Callable[[np.ndarray, float], float] = num_inliers,
    accept: Callable[[Plane], bool] = lambda plane: True,
) -> Plane | None:
    """The plane through three of the points (K, 3) with the highest `score` of all heights and the threshold, or None.

    RANSAC (Fischler and Bolles 1981) with a fixed random seed, refined by least squares over the inliers. The normal
    is on the side of the point `above` (3,). Skips planes that `accept` rejects."""
    random = np.random.default_rng(0)
    points = points[random.permutation(len(points))[:_MAX_POINTS]]
    best, best_score = None, 0.0
    for corners in random.integers(0, len(points), (_NUM_TRIALS, 3)):
        a, b, c = points[corners]
        normal = np.cross(b - a, c - a)
        length = np.linalg.norm(normal)
        if length < 1e-12:
            continue
        plane = _facing(normal / length, a, above)
        if not accept(plane):
            continue
        plane_score = score(plane.height(points), threshold)
        if plane_score > best_score:
            best, best_score = plane, plane_score
    return None if best is None else fit_plane(points[np.abs(best.height(points)) < threshold], above)


def fit_plane(points: np.ndarray, above: np.ndarray) -> Plane:
    """The least-squares plane of points (K, 3), its normal on the side of the point `above` (3,)."""
    middle = points.mean(axis=0)
    return _facing(np.linalg.svd(points - middle, full_matrices=False)[2][-1], middle, above)


def _facing(normal: np.ndarray, point: np.ndarray, above: np.ndarray) -> Plane:
    normal = normal if normal @ (above - point) >= 0.0 else -normal
    return Plane(normal, float(normal @ point))
