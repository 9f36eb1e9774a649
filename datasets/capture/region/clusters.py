"""Connected parts of a point cloud, and the ball around one."""

import numpy as np

_CROWD = 4  # points in a cell and its neighbours, below which they are stray
_STEPS = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
_TRIMMED = 0.005  # share of the points that may be wrong without anything else to show it


def clusters(points: np.ndarray, size: float) -> np.ndarray:
    """(K,) int64: the number of the connected part that each of the points (K, 3) belongs to, -1 for stray ones.

    Points are connected when they share a cell of a grid with edge `size` or their cells touch; cells with few points
    around them connect nothing (as in DBSCAN, Ester et al. 1996)."""
    corner = np.floor(points / size).astype(np.int64)
    cells, index = np.unique(corner, axis=0, return_inverse=True)
    index = index.reshape(-1)
    counts = np.bincount(index, minlength=len(cells))
    number = {tuple(cell): i for i, cell in enumerate(cells.tolist())}
    touching = [
        [number[tuple(other)] for other in (cell + _STEPS).tolist() if tuple(other) in number] for cell in cells
    ]
    dense = [counts[others].sum() >= _CROWD for others in touching]
    label = np.full(len(cells), -1, dtype=np.int64)
    num = 0
    for start in np.flatnonzero(dense):
        if label[start] >= 0:
            continue
        label[start], open_cells = num, [start]
        while open_cells:
            fresh = [other for other in touching[open_cells.pop()] if dense[other] and label[other] < 0]
            label[fresh] = num
            open_cells += fresh
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
    """Centre (3,) and radius of a ball around all points (K, 3) but the outermost half per cent, taken off twice."""
    center, radius = enclosing_ball(points)
    for _ in range(2):
        distances = np.linalg.norm(points - center, axis=1)
        points = points[distances <= np.quantile(distances, 1.0 - _TRIMMED / 2.0, method="higher")]
        center, radius = enclosing_ball(points)
    return center, radius
