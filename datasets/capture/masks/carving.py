"""Carves the object out of a box of voxels: what the photographs, taken together, do not show as background."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from datasets.capture.masks.evidence import BACKGROUND
from datasets.capture.sparse_model import SparseModel

_COARSE, _FINE = 64, 144  # voxels along the longest side of the box
_MIN_MISSES = 1.0  # views that may err, however few there are
_MIN_TOLD = 0.2  # of the most views that tell something about any voxel
_PRUNE_EVERY = 3  # views: voxels that cannot stay any more are not looked at again
_MARGIN = 2.0  # coarse voxels around what the coarse round leaves


@dataclass(frozen=True)
class Hull:
    """Voxels of an object, in the frame and units of the cameras."""

    solid: np.ndarray  # (X, Y, Z) bool
    possible: np.ndarray  # (X, Y, Z) bool: solid, or too few views tell anything
    low: np.ndarray  # (3,) corner of the box, along the axes
    edge: float  # of a voxel
    axes: np.ndarray  # (3, 3) float64: rows are the box's axes, the last one up

    def centres(self) -> np.ndarray:
        """(K, 3) float64 centres of the solid voxels."""
        return self._centres(self.solid)

    def _centres(self, voxels: np.ndarray) -> np.ndarray:
        return (self.low + (np.argwhere(voxels) + 0.5) * self.edge) @ self.axes

    def pixels(self, model: SparseModel) -> float:
        """The size of a voxel in the median view, in pixels."""
        depth = np.linalg.norm(model.c2w[:, :, 3] - self.centres().mean(axis=0), axis=1)
        return float(np.median(self.edge * model.intrinsics[:, 0] / np.maximum(depth, 1e-12)))

    def silhouette(self, model: SparseModel, view: int, possible: bool = False) -> np.ndarray:
        """(H, W) bool: where the solid voxels are in a view, or the possible ones."""
        width, height = model.sizes[view].tolist()
        canvas = np.zeros((height, width), np.uint8)
        centres = self._centres(self.possible if possible else self.solid)
        pixels, depth = model.project(view, centres)
        front = depth > 0.0
        if not front.any():
            return canvas > 0
        column, row = np.floor(pixels[front]).astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
        canvas[row[inside], column[inside]] = 1
        reach = self.edge * float(model.intrinsics[view, 0]) / float(np.median(depth[front]))
        size = 2 * int(np.ceil(0.9 * reach)) + 1  # closes the gaps between neighbouring voxels
        return cv2.morphologyEx(canvas, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))) > 0


def carve(
    evidence: Sequence[np.ndarray], model: SparseModel, center: np.ndarray, radius: float,
    axes: np.ndarray, floor: float | None, misses: float,
) -> Hull:  # fmt: skip
    """The voxels within `radius` of a point (3,), above the height `floor` along the last axis, that the views leave.

    evidence: of each view, (H, W) int8 votes. A voxel stays where at most the share `misses` of the views that tell
    something show background: part of the object may look like the plane behind it in some. Beside a flat side few
    views look past it, so that a larger share leaves bulges there.
    Two rounds: the second is finer around what the first one leaves; the component that the cameras look at is kept."""
    low, high = axes @ center - radius, axes @ center + radius
    if floor is not None:
        low[2] = max(low[2], floor)
    hull = _round(evidence, model, low, high, axes, _COARSE, center, radius, misses)
    if not hull.solid.any():
        return hull
    cells = np.argwhere(hull.possible)
    tight_low = hull.low + (cells.min(axis=0) - _MARGIN) * hull.edge
    tight_high = hull.low + (cells.max(axis=0) + 1.0 + _MARGIN) * hull.edge
    if floor is not None:
        tight_low[2] = max(tight_low[2], floor)
    return _round(evidence, model, tight_low, tight_high, axes, _FINE, center, radius, misses)


def _round(
    evidence: Sequence[np.ndarray], model: SparseModel, low: np.ndarray, high: np.ndarray,
    axes: np.ndarray, num: int, center: np.ndarray, radius: float, misses: float,
) -> Hull:  # fmt: skip
    edge = float((high - low).max()) / num
    shape = np.maximum(np.ceil((high - low) / edge - 1e-6).astype(int), 1)
    grid = np.stack(np.meshgrid(*[np.arange(size) for size in shape], indexing="ij"), axis=-1).reshape(-1, 3)
    points = ((low + (grid + 0.5) * edge) @ axes).astype(np.float32)
    left = np.arange(len(points))  # voxels that enough views may still leave
    against, told = np.zeros(len(points), np.float32), np.zeros(len(points), np.float32)
    for number, view in enumerate(_spread_order(len(evidence))):
        value = _sample(evidence[view], model.camera(view).projection_matrix().astype(np.float32), points)
        against += np.minimum(value, 0) / np.float32(BACKGROUND)
        told += value != 0
        if number % _PRUNE_EVERY == 0:
            alive = against <= max(misses * len(evidence), _MIN_MISSES)
            left, points, against, told = left[alive], points[alive], against[alive], told[alive]
    enough = told >= max(3.0, _MIN_TOLD * float(told.max(initial=0)))
    stays = against <= np.maximum(misses * told, _MIN_MISSES)
    solid, possible = np.zeros((2, int(shape.prod())), bool)
    solid[left[enough & stays]] = True
    possible[left[stays & (np.linalg.norm(points - center, axis=1) < radius)]] = True
    main = _main_component(solid.reshape(shape), low, edge, axes @ center)
    return Hull(main, possible.reshape(shape) | main, low, edge, axes)


def _spread_order(num: int) -> list[int]:
    """0 .. num-1, each far from those just before it: views from all sides leave little early on."""
    step = max(1, round(0.38 * num))
    while np.gcd(step, num) > 1:
        step += 1
    return [(step * i) % num for i in range(num)]


def _sample(image: np.ndarray, projection: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(K,) the values of an image (H, W) int8 where points (K, 3) are seen; 0 outside and behind the camera."""
    projected = points @ projection[:, :3].T + projection[:, 3]
    front = projected[:, 2] > 0.0
    depth = np.where(front, projected[:, 2], 1.0)
    column = np.where(front, projected[:, 0] / depth, -1.0)
    row = np.where(front, projected[:, 1] / depth, -1.0)
    inside = (column >= 0.0) & (row >= 0.0) & (column < image.shape[1]) & (row < image.shape[0])
    index = row[inside].astype(np.int64) * image.shape[1] + column[inside].astype(np.int64)
    values = np.zeros(len(points), np.int8)
    values[inside] = image.ravel()[index]
    return values


def _main_component(solid: np.ndarray, low: np.ndarray, edge: float, center: np.ndarray) -> np.ndarray:
    """The largest component, weighted by how near it is to the centre (3,) of the box's axes."""
    label, num = ndimage.label(solid)
    if num <= 1:
        return solid
    cells = np.argwhere(solid)
    distance = np.linalg.norm(low + (cells + 0.5) * edge - center, axis=1)
    weight = np.bincount(label[solid], np.exp(-((distance / (0.5 * distance.max() + 1e-12)) ** 2)))
    return label == int(weight[1:].argmax()) + 1
