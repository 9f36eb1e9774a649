"""How well cameras agree with masks: the share of the masks that a shape within the unit sphere can explain.

The largest shape is the visual hull (Laurentini 1994, definition 1): all points that no mask excludes."""

from collections.abc import Sequence

import numpy as np

from datasets.geometry.projection import CamerasFor

_MIN_EXPLAINED = 0.7  # of the masks, by cameras that are right
_MIN_BETTER = 0.25  # more than by cameras of images of another size
_AS_GOOD = 0.02  # less than by cameras of images of the next whole size, of which a crop may have this centre
_SIDE = 48  # points of the grid along the diameter of the sphere
_MAX_MISSES = 0.05  # of the views of a point, the share whose mask may exclude it: masks have holes
_SPACING = 1.5  # of a cell of an image, in distances of the points as it shows them: cells without a gap


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
    axis = np.linspace(-1.0, 1.0, _SIDE)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    grid = grid[np.linalg.norm(grid, axis=1) <= 1.0]
    seen, missed, places = np.zeros(len(grid), int), np.zeros(len(grid), int), []
    for mask, camera, (fx, fy, cx, cy) in zip(masks, c2w, intrinsics, strict=True):
        x, y, z = ((grid - camera[:, 3]) @ camera[:, :3]).T
        z = np.where(z > 1e-6, z, np.nan)
        column, row = fx * x / z + cx, fy * y / z + cy
        inside = (column >= 0) & (column < mask.shape[1]) & (row >= 0) & (row < mask.shape[0])
        place = np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int)
        seen += inside
        missed += inside & ~mask[place]
        cell = max(1, int(np.ceil(_SPACING * max(fx, fy) * (axis[1] - axis[0]) / np.nanmedian(z))))
        places.append((inside, place, cell))
    hull = (2 * seen >= len(masks)) & (missed <= _MAX_MISSES * seen)
    return float(np.mean([_covered(mask, hull, *one) for mask, one in zip(masks, places, strict=True)]))


def _covered(mask: np.ndarray, hull: np.ndarray, inside: np.ndarray, place: tuple, cell: int) -> float:
    """The share of the cells of a mask with a point of the hull; 1 for an empty mask."""
    rows, columns = np.nonzero(mask)
    wanted = np.zeros((mask.shape[0] // cell + 1, mask.shape[1] // cell + 1), bool)
    found = wanted.copy()
    wanted[rows // cell, columns // cell] = True
    there = hull & inside
    found[place[0][there] // cell, place[1][there] // cell] = True
    return float(found[wanted].mean()) if len(rows) else 1.0
