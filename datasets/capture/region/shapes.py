"""The sphere of a region, its cut by the ground and the pyramids of cameras as points, and outlines in the views."""

import cv2
import numpy as np

from datasets.capture.sparse_model import SparseModel
from datasets.geometry.normalise import rotation_to_z
from datasets.region import Region

PYRAMID_EDGES = ((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1))
_NEAR = 1e-3  # of the radius: the depth of the near plane that outlines are clipped at


def circle(center: np.ndarray, normal: np.ndarray, radius: float, num: int = 360) -> np.ndarray:
    """(num, 3) points on the circle around `center` (3,) perpendicular to the unit vector `normal` (3,)."""
    x, y, _ = rotation_to_z(normal)
    angle = np.linspace(0.0, 2.0 * np.pi, num, endpoint=False)[:, None]
    return center + radius * (np.cos(angle) * x + np.sin(angle) * y)


def ground_cut(region: Region) -> np.ndarray | None:
    """(360, 3) the circle in which the ground cuts the sphere, or None where it does not."""
    height = 0.0 if region.ground is None else float(region.ground.height(region.center))
    if region.ground is None or abs(height) >= region.radius:
        return None
    radius = float(np.sqrt(region.radius**2 - height**2))
    return circle(region.ground.project(region.center), region.ground.normal, radius)


def sphere_lines(region: Region) -> np.ndarray:
    """(M, 3) points on the equator and four meridians of the sphere, and on its cut by the ground."""
    x, y, up = rotation_to_z(region.up)
    across = [np.cos(angle) * x + np.sin(angle) * y for angle in np.arange(4) * (np.pi / 4.0)]
    lines = [circle(region.center, normal, region.radius) for normal in (up, *across)]
    cut = ground_cut(region)
    return np.concatenate(lines if cut is None else [*lines, cut])


def camera_corners(model: SparseModel, view: int, size: float) -> np.ndarray:
    """(5, 3) the apex and the four corners of the viewing pyramid of a camera, `size` deep."""
    width, height = model.sizes[view]
    pixels = np.array([(0, 0), (width, 0), (width, height), (0, height)])
    plane = (pixels - model.intrinsics[view, 2:]) / model.intrinsics[view, :2]
    corners = size * np.concatenate([plane, np.ones((4, 1))], axis=1)
    c2w = model.c2w[view]
    return np.concatenate([np.zeros((1, 3)), corners]) @ c2w[:, :3].T + c2w[:, 3]


def camera_lines(model: SparseModel, view: int, size: float) -> np.ndarray:
    """(M, 3) points along the edges of the viewing pyramid of a camera, `size` deep."""
    corners, along = camera_corners(model, view, size), np.linspace(0.0, 1.0, 16)[:, None]
    return np.concatenate([corners[a] + along * (corners[b] - corners[a]) for a, b in PYRAMID_EDGES])


def sphere_outline(region: Region, model: SparseModel, view: int, above_ground: bool = False) -> np.ndarray | None:
    """(h, 2) float64 pixels of the outline of the sphere in a view; None where it is not in front of the camera.

    above_ground: only of the part of the sphere above the ground, where there is one."""
    to_center = region.center - model.c2w[view, :, 3]
    distance = float(np.linalg.norm(to_center))
    if distance <= region.radius:
        return None
    sine = region.radius / distance  # of half the angle that the sphere subtends
    middle = region.center - to_center * sine**2  # of the circle along which rays touch the sphere
    rim = circle(middle, to_center / distance, region.radius * float(np.sqrt(1.0 - sine**2)))
    cut = ground_cut(region) if above_ground else None
    if cut is not None:  # the outline of a part of a ball surrounds its part of the rim, and the cut
        rim = np.concatenate([rim[region.ground.height(rim) > 0.0], cut])
    return outline(model, view, rim, _NEAR * region.radius)


def outline(model: SparseModel, view: int, points: np.ndarray, near: float) -> np.ndarray | None:
    """(h, 2) float64 pixels of the convex hull of points (K, 3) in a view, clipped at the depth `near`.

    None where nothing is in front of the camera."""
    c2w = model.c2w[view]
    depth = (points - c2w[:, 3]) @ c2w[:, 2]
    front, behind = points[depth >= near], points[depth < near]
    if not len(front):
        return None
    fraction = (depth[depth >= near, None] - near) / (depth[depth >= near, None] - depth[None, depth < near])
    clipped = front[:, None] + fraction[..., None] * (behind[None] - front[:, None])
    pixels, _ = model.project(view, np.concatenate([front, clipped.reshape(-1, 3)]))
    return cv2.convexHull(pixels.astype(np.float32))[:, 0].astype(np.float64)
