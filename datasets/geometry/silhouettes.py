"""Where cameras show points, and how well they agree with masks: the share that a shape in the unit sphere explains.

The largest shape is the visual hull (Laurentini 1994, definition 1): all points that no mask excludes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datasets.geometry.projection import CamerasFor

_MIN_EXPLAINED = 0.7  # of the masks, by cameras that are right
_MIN_BETTER = 0.25  # more than by cameras of images of another size
_AS_GOOD = 0.02  # less than by cameras of images of the next whole size, of which a crop may have this centre
_SIDE = 48  # points of the grid along the diameter of the sphere
_MAX_MISSES = 0.05  # of the views of a point, the share whose mask may exclude it: masks have holes
_SPACING = 1.5  # of a cell of an image, in distances of the points as it shows them: cells without a gap


@dataclass(frozen=True)
class Shown:
    """Where a view shows points."""

    inside: np.ndarray  # (K,) bool, in frame
    row: np.ndarray  # (K,) int64, of the pixel; 0 out of frame
    column: np.ndarray
    depth: np.ndarray  # (K,) float64 along the optical axis; NaN behind the camera


def ball_points(radius: float, side: int) -> np.ndarray:
    """(K, 3) float64 points of a grid within a ball around the origin, of `side` points along its diameter."""
    axis = np.linspace(-radius, radius, side)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid[np.linalg.norm(grid, axis=1) <= radius]


def show_points(points: np.ndarray, c2w: np.ndarray, intrinsics: np.ndarray, size: Sequence[int]) -> Shown:
    """Points (K, 3) float64 in a picture of a width and height, by a camera with c2w (3, 4), OpenCV, and fx, fy, cx, cy
    in pixels."""
    fx, fy, cx, cy = intrinsics
    x, y, z = c2w[:, :3].T @ points.T - (c2w[:, 3] @ c2w[:, :3])[:, None]
    z = np.where(z > 0.0, z, np.nan)
    column, row = fx * x / z + cx, fy * y / z + cy
    inside = (column >= 0) & (column < size[0]) & (row >= 0) & (row < size[1])
    row, column = (np.where(inside, place, 0).astype(np.int64) for place in (row, column))
    return Shown(inside, row, column, z)


def told_by_masks(masks: Sequence[np.ndarray], c2w: np.ndarray, intrinsics: np.ndarray, factor: float) -> CamerasFor:
    """Whether cameras are for the images of their masks, or for images `factor` times as large; see `explained_share`.

    "auto" where the masks do not tell, and where cameras for the next whole factor explain them better: then images
    were cropped as well."""
    images, resized = (explained_share(masks, c2w, intrinsics / one) for one in (1.0, factor))
    if max(images, resized) < _MIN_EXPLAINED or abs(images - resized) < _MIN_BETTER:
        return "auto"
    if images > resized:
        return "images"
    whole = max(factor, 1.0 / factor)
    rivals = [
        (one / whole) ** (1.0 if factor > 1.0 else -1.0) * factor for one in (whole - 1.0, whole + 1.0) if one > 1.0
    ]
    best = max(explained_share(masks, c2w, intrinsics / one) for one in rivals)
    return "auto" if best > resized + _AS_GOOD else "resized"


def explained_share(masks: Sequence[np.ndarray], c2w: np.ndarray, intrinsics: np.ndarray) -> float:
    """The mean share in [0, 1] of masks (H, W) bool that their visual hull within the unit sphere covers.

    c2w: (N, 3, 4) OpenCV; intrinsics: (N, 4) fx, fy, cx, cy in pixels, centres at +1/2. A point that fewer than
    half of the views have in frame is not in the hull: one view alone would explain its own mask by it."""
    grid = ball_points(1.0, _SIDE)
    views = [
        show_points(grid, camera, own, mask.shape[::-1])
        for mask, camera, own in zip(masks, c2w, intrinsics, strict=True)
    ]
    seen = np.sum([view.inside for view in views], axis=0)
    missed = np.sum(
        [view.inside & ~mask[view.row, view.column] for mask, view in zip(masks, views, strict=True)], axis=0
    )
    hull = (2 * seen >= len(masks)) & (missed <= _MAX_MISSES * seen)
    reaches = _SPACING * 2.0 / (_SIDE - 1) * intrinsics[:, :2].max(axis=1)
    return float(np.mean([_covered(*each, hull) for each in zip(masks, views, reaches, strict=True)]))


def _covered(mask: np.ndarray, view: Shown, reach: float, hull: np.ndarray) -> float:
    """The share of the cells of a mask with a point of the hull; 1 for an empty mask. reach: pixels of a cell times its
    depth."""
    rows, columns = np.nonzero(mask)
    cell = max(1, int(np.ceil(reach / np.nanmedian(view.depth))))
    wanted = np.zeros((mask.shape[0] // cell + 1, mask.shape[1] // cell + 1), bool)
    found = wanted.copy()
    wanted[rows // cell, columns // cell] = True
    there = hull & view.inside
    found[view.row[there] // cell, view.column[there] // cell] = True
    return float(found[wanted].mean()) if len(rows) else 1.0
