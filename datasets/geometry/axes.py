"""The point that cameras look at, and their mean up direction."""

import numpy as np

_MIN_SPREAD = 0.03  # mean square of a coordinate of unit vectors; below it counts as 0: 10 degrees


def focus_point(c2w: np.ndarray) -> np.ndarray:
    """(3,) the point nearest to all optical axes of cameras (N, 3, 4), in the least-squares sense.

    Where the axes do not determine it (one camera, parallel cameras) it is the point nearest to the scene's origin."""
    axes = c2w[:, :, 2]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    system = across.sum(axis=0) + 1e-6 * len(c2w) * np.eye(3)
    return np.linalg.solve(system, np.einsum("nij,nj->i", across, c2w[:, :, 3]))


def mean_up(c2w: np.ndarray) -> np.ndarray:
    """(3,) unit mean of the up directions of cameras (N, 3, 4); that of the first where they cancel."""
    up = -c2w[:, :, 1].mean(axis=0)
    up = up if np.linalg.norm(up) > 1e-3 else -c2w[0, :, 1]
    return up / np.linalg.norm(up)


def level_up(c2w: np.ndarray) -> np.ndarray:
    """(3,) unit up direction of cameras (N, 3, 4): perpendicular to their x axes, since people hold cameras level.

    The mean of the cameras' own up tilts where they are all on one side of the object. It is the result where the x
    axes do not determine the direction, or are not level."""
    right = c2w[:, :, 0]
    spread, axes = np.linalg.eigh(right.T @ right / len(right))
    mean = mean_up(c2w)
    if spread[0] > _MIN_SPREAD or spread[1] < _MIN_SPREAD:
        return mean
    return axes[:, 0] if axes[:, 0] @ mean >= 0.0 else -axes[:, 0]
