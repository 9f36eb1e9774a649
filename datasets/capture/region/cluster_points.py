"""Clusters of a point cloud, and the ball around one."""

import numpy as np

_MIN_POINTS = 4  # in a cell and its neighbours; with fewer, the points are outliers
_STEPS = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
_TRIMMED_SHARE = 0.005  # of the points that may be wrong without any other sign of it


def label_clusters(points: np.ndarray, cell: float) -> np.ndarray:
    """(K,) int64: the number of the cluster that each of the points (K, 3) belongs to, -1 for outliers.

    Points are connected when they share a cell of a grid with edge `cell` or their cells touch; cells with few points
    around them connect nothing (as in DBSCAN, Ester et al. 1996)."""
    corner = np.floor(points / cell).astype(np.int64)
    cells, index = np.unique(corner, axis=0, return_inverse=True)
    index = index.reshape(-1)
    counts = np.bincount(index, minlength=len(cells))
    number = {tuple(corner): i for i, corner in enumerate(cells.tolist())}
    touching = [
        [number[tuple(other)] for other in (corner + _STEPS).tolist() if tuple(other) in number] for corner in cells
    ]
    dense = [counts[others].sum() >= _MIN_POINTS for others in touching]
    label = np.full(len(cells), -1, dtype=np.int64)
    num = 0
    for start in np.flatnonzero(dense):
        if label[start] >= 0:
            continue
        label[start], open_cells = num, [start]
        while open_cells:
            unlabelled = [other for other in touching[open_cells.pop()] if dense[other] and label[other] < 0]
            label[unlabelled] = num
            open_cells += unlabelled
        num += 1
    return label[index]


def enclosing_ball(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius of nearly the smallest ball around points (K, 3), K > 0.

    Badoiu and Clarkson 2003: the centre moves towards the farthest point, by less and less."""
    center = points.mean(axis=0)
    for step in range(2, 1000):
        offsets = points - center
        center = center + offsets[(offsets**2).sum(axis=1).argmax()] / step
    return center, float(np.linalg.norm(points - center, axis=1).max())


def trimmed_ball(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius of a ball around points (K, 3), without the outermost half per cent of them, which is
    removed in two rounds."""
    center, radius = enclosing_ball(points)
    for _ in range(2):
        distances = np.linalg.norm(points - center, axis=1)
        points = points[distances <= np.quantile(distances, 1.0 - _TRIMMED_SHARE / 2.0, method="higher")]
        center, radius = enclosing_ball(points)
    return center, radius
