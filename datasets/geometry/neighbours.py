"""Which photographs see the object from similar directions."""

import numpy as np

# the baseline of closer views is too short: they agree on a patch wherever the surface is
MIN_ANGLE = np.radians(3.0)


def nearest_views(c2w: np.ndarray, num: int) -> np.ndarray:
    """(N, K) int64: for each view the K = min(num, N - 1) others with the smallest angle between their lines of sight
    to the origin, nearest first; those within MIN_ANGLE come last.

    c2w: (N, 3, 4) in the scene frame, with the object around the origin."""
    positions = c2w[:, :, 3].astype(np.float64)
    sight = positions / np.maximum(np.linalg.norm(positions, axis=1, keepdims=True), 1e-9)
    angle = np.arccos(np.clip(sight @ sight.T, -1.0, 1.0))
    rank = angle + 2.0 * np.pi * (angle < MIN_ANGLE)
    np.fill_diagonal(rank, np.inf)
    return np.argsort(rank, axis=1, kind="stable")[:, : min(num, len(c2w) - 1)]
