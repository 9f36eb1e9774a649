"""What cameras see of points in space: inside their images and masks, and not hidden behind a mesh."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numba
import numpy as np

from utils.cameras import Camera
from utils.mesh import Mesh
from utils.numba_cache import cached_njit, cached_parallel

MaskCull = Literal["any", "all", "none"]
OPAQUE = 127  # alpha above it is object
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_PER_CELL = 2.0  # points in a cell of the picture that are tested against the faces over it


@dataclass(frozen=True)
class Viewpoint(Camera):
    """A camera, and what its image shows of the object."""

    mask: np.ndarray | None = None  # (H, W) bool, True on the object; None for a photograph without

    def pixels_of(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel positions (N, 2) of points (N, 3), zero where they are not in the image; and whether they are, (N,)."""
        pixels = self.project(points)
        inside = self.in_frame(pixels)
        return np.where(inside[:, None], pixels[:, :2], 0.0), inside

    def shows(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N,) bool each: whether points (N, 3) lie in the image, and in its mask if it has one."""
        pixels, inside = self.pixels_of(points)
        if self.mask is None:
            return inside, inside
        column, row = pixels.astype(np.int64).T
        return inside, inside & self.mask[row, column]


def object_mask(image: np.ndarray, grow: int) -> np.ndarray:
    """(H, W) bool: where an image (H, W, 4) is opaque or at most `grow` pixels, up, down or sideways, from there."""
    mask = (image[..., 3] > OPAQUE).astype(np.uint8)
    return cv2.dilate(mask, _CROSS, iterations=grow).astype(bool)


def in_views(points: np.ndarray, views: Sequence[Viewpoint], masks: MaskCull) -> np.ndarray:
    """(N,) bool: whether points (N, 3) lie in an image.

    masks: "any": and in the mask of a view; "all": and in the masks of all views that have them in their image, the
    visual hull; "none": masks do not count. A view without a mask shows the object everywhere."""
    if masks == "all":
        return _in_all_masks(points, views)
    return _in_some_mask(points, views if masks == "any" else [replace(view, mask=None) for view in views])


def _in_some_mask(points: np.ndarray, views: Sequence[Viewpoint]) -> np.ndarray:
    shown = np.zeros(len(points), bool)
    for view in views:
        waiting = np.flatnonzero(~shown)
        shown[waiting] = view.shows(points[waiting])[1]
    return shown


def _in_all_masks(points: np.ndarray, views: Sequence[Viewpoint]) -> np.ndarray:
    framed, kept = np.zeros(len(points), bool), np.arange(len(points))
    for view in views:
        inside, shown = view.shows(points[kept])
        framed[kept] |= inside
        kept = kept[shown | ~inside]
    in_all = np.zeros(len(points), bool)
    in_all[kept] = framed[kept]
    return in_all


def seen(points: np.ndarray, mesh: Mesh, views: Sequence[Viewpoint], tolerance: float) -> np.ndarray:
    """(N,) bool: whether a view has the point (N, 3) in its image and the mesh does not cover it there.

    A face covers it when the line from the camera meets the face more than `tolerance` before the point: points on the
    mesh do not hide themselves. Each point's own line is tested, whatever the resolution of the image."""
    visible = np.zeros(len(points), bool)
    for view in views:
        waiting = np.flatnonzero(~visible)
        waiting = waiting[view.pixels_of(points[waiting])[1]]
        if len(waiting):
            visible[waiting] = ~_covered(points[waiting], mesh, view, tolerance)
    return visible


def _covered(points: np.ndarray, mesh: Mesh, view: Viewpoint, tolerance: float) -> np.ndarray:
    """(N,) bool: whether the mesh hides points that lie in the image of the view."""
    camera = view.to_camera(points)
    depth = camera[:, 2]
    plane = camera[:, :2] / depth[:, None]
    limit = depth - tolerance * depth / np.linalg.norm(camera, axis=1)
    # The points lie sorted by the cells of a lattice over what they take up of the plane at depth 1.
    low, high = plane.min(axis=0), plane.max(axis=0)
    extent = np.maximum(high - low, 1e-9)
    edge = np.sqrt(extent.prod() * _PER_CELL / len(points)) + extent.max() / 4096.0
    num = np.ceil(extent / edge).astype(np.int64)
    column, row = np.minimum((plane - low) / edge, num - 1).astype(np.int64).T
    cell = row * num[0] + column
    order = np.argsort(cell, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=num.prod()))])
    covered = np.zeros(len(points), bool)
    corners = view.to_camera(mesh.vertices)
    _cover(corners, mesh.faces, plane[order], limit[order], starts, (low[0], low[1], edge), (num[0], num[1]), covered)
    result = np.empty(len(points), bool)
    result[order] = covered
    return result


@cached_parallel()
def _cover(vertices, faces, plane, limit, starts, lattice, num, covered):
    """Sets `covered` where a face (camera frame) meets the line through (x, y, 1) nearer than its limit, as a depth."""
    low_x, low_y, edge = lattice
    columns, rows = num
    for f in numba.prange(len(faces)):  # two threads may set the same flag, both to True
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        x0, y0, x1, y1 = _bounds(a, b, c)
        x0, y0, x1, y1 = (x0 - low_x) / edge, (y0 - low_y) / edge, (x1 - low_x) / edge, (y1 - low_y) / edge
        if not (x1 >= 0.0 and y1 >= 0.0 and x0 <= columns and y0 <= rows):
            continue
        first_column, last_column = int(min(max(x0, 0.0), columns - 1.0)), int(min(x1, columns - 1.0))
        first_row, last_row = int(min(max(y0, 0.0), rows - 1.0)), int(min(y1, rows - 1.0))
        # (x, y, 1) * determinant = wa a + wb b + wc c; signs of the weights tell inside from outside
        ax, ay, az = b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]
        bx, by, bz = c[1] * a[2] - c[2] * a[1], c[2] * a[0] - c[0] * a[2], c[0] * a[1] - c[1] * a[0]
        cx, cy, cz = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
        determinant = a[0] * ax + a[1] * ay + a[2] * az
        for row in range(first_row, last_row + 1):
            begin, end = starts[row * columns + first_column], starts[row * columns + last_column + 1]
            for k in range(begin, end):
                if covered[k]:
                    continue
                x, y = plane[k, 0], plane[k, 1]
                wa, wb, wc = x * ax + y * ay + az, x * bx + y * by + bz, x * cx + y * cy + cz
                if min(wa, wb, wc) >= 0.0 or max(wa, wb, wc) <= 0.0:
                    depth = determinant / (wa + wb + wc)
                    if 0.0 < depth < limit[k]:
                        covered[k] = True


@cached_njit(error_model="numpy")
def _bounds(a, b, c):
    """x and y at depth 1 that a triangle in the camera frame covers at most: x0, y0, x1, y1; x0 > x1 for none."""
    nearest, farthest = min(a[2], b[2], c[2]), max(a[2], b[2], c[2])
    x0, y0, x1, y1 = np.inf, np.inf, -np.inf, -np.inf
    if farthest <= 0.0:
        return x0, y0, x1, y1
    front = max(nearest, 1e-6 * farthest)  # what lies behind or in the plane of the camera is cut off
    for p, q in ((a, b), (b, c), (c, a)):
        if p[2] >= front:
            x, y = p[0] / p[2], p[1] / p[2]
            x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
        if (p[2] < front) != (q[2] < front):
            share = (front - p[2]) / (q[2] - p[2])
            x, y = (p[0] + share * (q[0] - p[0])) / front, (p[1] + share * (q[1] - p[1])) / front
            x0, y0, x1, y1 = min(x0, x), min(y0, y), max(x1, x), max(y1, y)
    return x0, y0, x1, y1
