"""The lens of nerfstudio and Metashape, radial to the eighth order with tangential terms, which COLMAP does not have:

x' = x (1 + k1 r^2 + k2 r^4 + k3 r^6 + k4 r^8) + 2 p1 x y + p2 (r^2 + 2 x^2), y' likewise (Brown 1971, eq. 1)."""

import numpy as np

EIGHTH_ORDER = "EIGHTH_ORDER"  # its name beside COLMAP's models; parameters: fx, fy, cx, cy, k1, k2, p1, p2, k3, k4
_NEWTON_STEPS = 30
_WIDEST = 10.0  # in focal lengths: no perspective image reaches farther


def distort(points: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """(..., 2) where points (..., 2) at depth 1 appear, both in focal lengths; coefficients: k1, k2, p1, p2, k3, k4."""
    k1, k2, p1, p2, k3, k4 = coefficients
    x, y = points[..., 0], points[..., 1]
    square = x * x + y * y
    radial = 1.0 + square * (k1 + square * (k2 + square * (k3 + square * k4)))
    return np.stack(
        [
            x * radial + 2.0 * p1 * x * y + p2 * (square + 2.0 * x * x),
            y * radial + 2.0 * p2 * x * y + p1 * (square + 2.0 * y * y),
        ],
        axis=-1,
    )


def widest(coefficients: np.ndarray) -> float:
    """The radius up to which the radial part grows, in focal lengths; beyond it, the picture would fold over."""
    k1, k2, _, _, k3, k4 = coefficients
    roots = np.roots([9.0 * k4, 7.0 * k3, 5.0 * k2, 3.0 * k1, 1.0])
    turning = [root.real for root in roots if abs(root.imag) < 1e-9 * max(abs(root), 1.0) and root.real > 0.0]
    return min([float(np.sqrt(root)) for root in turning] + [_WIDEST])


def undistort_points(points: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """(N, 2) what `distort` takes to points (N, 2), held within the radius of `widest`. Newton, from the point itself.

    Differences take the place of derivatives."""
    limit, found, step = 0.999 * widest(coefficients), points.astype(np.float64), 1e-6
    found = _within(found, limit)
    for _ in range(_NEWTON_STEPS):
        value = distort(found, coefficients)
        columns = [
            (distort(found + step * axis, coefficients) - distort(found - step * axis, coefficients)) / (2.0 * step)
            for axis in np.eye(2)
        ]
        jacobian = np.stack(columns, axis=-1) + 1e-12 * np.eye(2)
        found = _within(found + np.linalg.solve(jacobian, (points - value)[..., None])[..., 0], limit)
    return found


def _within(points: np.ndarray, limit: float) -> np.ndarray:
    length = np.linalg.norm(points, axis=-1, keepdims=True)
    return points * np.minimum(1.0, limit / np.maximum(length, 1e-12))


def undistortion(params: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The map (h, w, 2) float32 from the pixels of a pinhole to those of an image of `size`, centres on integers, and
    fx, fy, cx, cy (4,) of that pinhole.

    params: of EIGHTH_ORDER for that size. The pinhole has the focal length of the lens and sees nothing that the lens
    has not seen. Raises ValueError where nothing is left."""
    intrinsics, coefficients = params[:4].copy(), params[4:]
    width, height = size
    x, y = np.linspace(0.0, width, width + 1), np.linspace(0.0, height, height + 1)
    sides = [np.stack(np.broadcast_arrays(*side), axis=-1) for side in ((0.0, y), (width, y), (x, 0.0), (x, height))]
    left, right, top, bottom = (
        undistort_points((side - intrinsics[2:]) / intrinsics[:2], coefficients) * intrinsics[:2] + intrinsics[2:]
        for side in sides
    )
    corner = np.ceil([max(left[:, 0].max(), -width), max(top[:, 1].max(), -height)])
    end = np.floor([min(right[:, 0].min(), 2 * width), min(bottom[:, 1].min(), 2 * height)])
    extent = (end - corner).astype(np.int64)
    if extent.min() < 1:
        raise ValueError(
            f"the lens shows nothing that a pinhole could see: k1 to k4 {coefficients[[0, 1, 4, 5]].tolist()} "
            f"fold the picture over at its centre. Correct them, or undistort the pictures."
        )
    intrinsics[2:] -= corner
    column, row = np.meshgrid(np.arange(extent[0]) + 0.5, np.arange(extent[1]) + 0.5)
    seen = (np.stack([column, row], axis=-1) - intrinsics[2:]) / intrinsics[:2]
    seen = distort(seen, coefficients) * intrinsics[:2] + params[2:4]
    return (seen - 0.5).astype(np.float32), intrinsics
