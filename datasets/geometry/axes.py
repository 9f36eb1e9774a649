"""The point that cameras look at, and their mean up direction."""

import numpy as np

_MIN_SPREAD = 0.03  # mean square of a coordinate of unit vectors; below it counts as 0: 10 degrees
_AGREES = 0.3  # cosine between the mean up of cameras and a direction: cameras may look down steeply
FAR = 30.0  # spreads of the cameras from which on the origin of their frame says nothing of the scene


def focus_point(c2w: np.ndarray) -> np.ndarray:
    """(3,) float64 the point nearest to all optical axes of cameras (N, 3, 4), in the least-squares sense.

    It moves with the cameras, however far from the origin they are. Where the axes do not determine it (one camera,
    parallel cameras) it is the point nearest to the origin, or, where the origin is farther from the cameras than
    FAR times their spread, nearest to the point that lies their spread ahead of them."""
    axes, positions = c2w[:, :, 2].astype(np.float64), c2w[:, :, 3].astype(np.float64)
    mean = positions.mean(axis=0)
    spread = float(np.sqrt(np.square(positions - mean).sum(axis=1).mean()))
    expected = np.zeros(3)
    if spread > 0.0 and np.linalg.norm(mean) > FAR * spread:
        expected = mean + spread * axes.mean(axis=0)
    return nearest_point(positions, axes, expected, 1e-6)


def nearest_point(positions: np.ndarray, axes: np.ndarray, expected: np.ndarray, pull: float) -> np.ndarray:
    """(3,) float64 the point nearest, in the least-squares sense, to the lines through positions (N, 3) along unit axes
    (N, 3); `pull`, a share of their weight, draws it to what is expected (3,) where they do not determine it."""
    mean, across = positions.mean(axis=0), np.eye(3) - axes[:, :, None] * axes[:, None, :]
    target = np.einsum("nij,nj->i", across, positions - mean) + pull * len(axes) * (expected - mean)
    return mean + np.linalg.solve(across.sum(axis=0) + pull * len(axes) * np.eye(3), target)


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


def likely_up(c2w: np.ndarray, axis: np.ndarray | None = None) -> np.ndarray:
    """(3,) float64, unit length: `axis` (3,), up by convention, unless cameras (N, 3, 4) are held otherwise; else what
    `level_up` finds."""
    if axis is not None and axis @ mean_up(c2w) > _AGREES:
        return axis
    return level_up(c2w.astype(np.float64))


def facing(c2w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of cameras (N, 3, 4), OpenCV: the cosine (N,) between the axis of each and the way to the point that all look at,
    below 0 where it lies behind; and the distance (N,) to that point."""
    ways = focus_point(c2w) - c2w[:, :, 3]
    distances = np.linalg.norm(ways, axis=1)
    return (ways * c2w[:, :, 2]).sum(axis=1) / distances.clip(min=1e-12), distances
