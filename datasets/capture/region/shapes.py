"""The sphere of a region, its cut by the ground and the pyramids of cameras as points, and outlines in the views."""

import cv2
import numpy as np

from datasets.capture.cloud import Cloud
from datasets.geometry.normalise import rotation_to_z
from datasets.region import Region

PYRAMID_EDGES = ((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1))
_NEAR = 1e-3  # of the radius: what is closer to the plane of a camera has no pixel


def circle(center: np.ndarray, normal: np.ndarray, radius: float, num: int = 360) -> np.ndarray:
    """(num, 3) points on the circle around `center` (3,) in the plane across the unit vector `normal` (3,)."""
    x, y, _ = rotation_to_z(normal)
    turn = np.linspace(0.0, 2.0 * np.pi, num, endpoint=False)[:, None]
    return center + radius * (np.cos(turn) * x + np.sin(turn) * y)


def ground_cut(region: Region) -> np.ndarray | None:
    """(360, 3) the circle in which the ground cuts the sphere, or None where it does not."""
    height = 0.0 if region.ground is None else float(region.ground.height(region.center))
    if region.ground is None or abs(height) >= region.radius:
        return None
    radius = float(np.sqrt(region.radius**2 - height**2))
    return circle(region.ground.drop(region.center), region.ground.normal, radius)


def sphere_lines(region: Region) -> np.ndarray:
    """(M, 3) points on the equator and four meridians of the sphere, and on its cut by the ground."""
    x, y, up = rotation_to_z(region.up)
    across = [np.cos(turn) * x + np.sin(turn) * y for turn in np.arange(4) * (np.pi / 4.0)]
    lines = [circle(region.center, normal, region.radius) for normal in (up, *across)]
    cut = ground_cut(region)
    return np.concatenate(lines if cut is None else [*lines, cut])


def camera_corners(cloud: Cloud, view: int, size: float) -> np.ndarray:
    """(5, 3) the tip and the four corners of the pyramid that a camera sees, `size` deep."""
    width, height = cloud.sizes[view]
    pixels = np.array([(0, 0), (width, 0), (width, height), (0, height)])
    plane = (pixels - cloud.intrinsics[view, 2:]) / cloud.intrinsics[view, :2]
    corners = size * np.concatenate([plane, np.ones((4, 1))], axis=1)
    c2w = cloud.c2w[view]
    return np.concatenate([np.zeros((1, 3)), corners]) @ c2w[:, :3].T + c2w[:, 3]


def camera_lines(cloud: Cloud, view: int, size: float) -> np.ndarray:
    """(M, 3) points along the edges of the pyramid that a camera sees, `size` deep."""
    corners, along = camera_corners(cloud, view, size), np.linspace(0.0, 1.0, 16)[:, None]
    return np.concatenate([corners[a] + along * (corners[b] - corners[a]) for a, b in PYRAMID_EDGES])


def sphere_outline(region: Region, cloud: Cloud, view: int, grounded: bool = False) -> np.ndarray | None:
    """(h, 2) float64 pixels around what the sphere covers in a view; None where it is not in front of the camera.

    grounded: only the part of the sphere above the ground, where there is one."""
    to_center = region.center - cloud.c2w[view, :, 3]
    distance = float(np.linalg.norm(to_center))
    if distance <= region.radius:
        return None
    sine = region.radius / distance  # of the angle that the sphere is seen under
    touch = region.center - to_center * sine**2  # middle of the circle along which rays touch the sphere
    rim = circle(touch, to_center / distance, region.radius * float(np.sqrt(1.0 - sine**2)))
    cut = ground_cut(region) if grounded else None
    if cut is not None:  # the outline of a part of a ball is around its share of the rim and around the cut
        rim = np.concatenate([rim[region.ground.height(rim) > 0.0], cut])
    return outline(cloud, view, rim, _NEAR * region.radius)


def outline(cloud: Cloud, view: int, points: np.ndarray, near: float) -> np.ndarray | None:
    """(h, 2) float64 pixels of the convex hull of points (K, 3) in a view, cut where their depth is below `near`.

    None where nothing is in front of the camera."""
    c2w = cloud.c2w[view]
    depth = (points - c2w[:, 3]) @ c2w[:, 2]
    front, behind = points[depth >= near], points[depth < near]
    if not len(front):
        return None
    share = (depth[depth >= near, None] - near) / (depth[depth >= near, None] - depth[None, depth < near])
    cut = front[:, None] + share[..., None] * (behind[None] - front[:, None])
    pixels, _ = cloud.project(view, np.concatenate([front, cut.reshape(-1, 3)]))
    return cv2.convexHull(pixels.astype(np.float32))[:, 0].astype(np.float64)
