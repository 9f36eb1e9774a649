"""Camera paths for videos, made from the cameras of a scene. OpenCV axes; c2w is 3x4."""

import numpy as np

from datasets.geometry.axes import focus_point, level_up

_MAX_ELEVATION = np.deg2rad(80.0)  # from straight above, the up direction of a view would be undefined


def look_at(position: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """(3, 4) OpenCV camera at `position` (3,) whose z axis points at `target` (3,), its y axis away from `up` (3,)."""
    forward = target - position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, up)
    right = right / np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward, position], axis=1)


def orbit(c2w: np.ndarray, num: int, up: np.ndarray | None = None) -> np.ndarray:
    """(num, 3, 4) float32 cameras on a closed circle around the point that cameras (N, 3, 4) look at.

    The circle has their mean distance and elevation over the plane normal to `up` (3,), by default what is up for level
    cameras; it starts at the side of the first camera, and frame `num` would be frame 0 again."""
    c2w = np.asarray(c2w, dtype=np.float64)
    centre = focus_point(c2w)
    up = level_up(c2w) if up is None else up
    offsets = c2w[:, :, 3] - centre
    distances = np.linalg.norm(offsets, axis=1).clip(min=1e-6)
    elevation = np.arcsin(np.clip(offsets @ up / distances, -1.0, 1.0)).mean()
    elevation = np.clip(elevation, -_MAX_ELEVATION, _MAX_ELEVATION)
    side = offsets[0] - (offsets[0] @ up) * up
    if np.linalg.norm(side) < 1e-3 * distances[0]:
        side = np.cross(up, np.eye(3)[np.abs(up).argmin()])
    side = side / np.linalg.norm(side)
    angles = np.linspace(0.0, 2.0 * np.pi, num, endpoint=False)[:, None]
    ring = np.cos(angles) * side + np.sin(angles) * np.cross(up, side)
    positions = centre + distances.mean() * (np.cos(elevation) * ring + np.sin(elevation) * up)
    return np.stack([look_at(position, centre, up) for position in positions]).astype(np.float32)
