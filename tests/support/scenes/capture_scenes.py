"""Synthetic sparse models: an object on a table in a room, free, or on a wall."""

from dataclasses import replace

import numpy as np
import pycolmap

from datasets.capture.sparse_model import SparseModel
from datasets.poses import look_at

SIZE, FOCAL = (640, 480), 600.0
AXES = np.array([0.45, 0.3, 0.6])  # of the ellipsoid that is the object; its centre is the origin
BALL = 0.6  # the radius of a ball around it


def surface(num: int, seed: int = 0) -> np.ndarray:
    """(num, 3) points on the object."""
    points = np.random.default_rng(seed).normal(size=(num, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True) * AXES


def cameras(num: int = 24, distance: float = 3.0, arc: float = 2.0 * np.pi, lift: float = 0.9) -> np.ndarray:
    """(num, 3, 4) on an arc around the object, some higher than others, not pointed exactly at it."""
    random = np.random.default_rng(5)
    turn = np.linspace(0.0, arc, num, endpoint=False)
    height = lift + 0.5 * np.sin(3.0 * turn)
    positions = np.stack([distance * np.cos(turn), distance * np.sin(turn), height], axis=1)
    up = np.array([0.0, 0.0, 1.0])
    return np.stack([look_at(position, random.normal(0.0, 0.08, 3), up) for position in positions])


def model_of_points(points: np.ndarray, c2w: np.ndarray) -> SparseModel:
    """A model whose points have 3 to 9 observations each."""
    num, random = len(c2w), np.random.default_rng(6)
    return SparseModel(
        points=points,
        colors=random.integers(0, 256, points.shape, dtype=np.uint8),
        track_lengths=random.integers(3, 10, len(points)),
        names=tuple(f"{i:03d}.png" for i in range(num)),
        c2w=c2w,
        intrinsics=np.tile([FOCAL, FOCAL, SIZE[0] / 2, SIZE[1] / 2], (num, 1)),
        sizes=np.tile(SIZE, (num, 1)),
    )


def table(num: int = 3000) -> np.ndarray:
    """(num, 3) points of a table top below the object, larger than the circle of the cameras."""
    random = np.random.default_rng(1)
    flat = random.uniform(-3.0, 3.0, (num, 2))
    return np.concatenate([flat, -AXES[2] + random.normal(0.0, 0.005, (num, 1))], axis=1)


def room(num: int = 2000) -> np.ndarray:
    """(num, 3) points on the walls around it all, and some anywhere."""
    random = np.random.default_rng(2)
    walls = random.uniform(-1.0, 1.0, (num, 3)) * [6.0, 6.0, 3.0]
    side = random.integers(0, 2, num)
    walls[np.arange(num), side] = np.sign(walls[np.arange(num), side]) * 6.0
    return np.concatenate([walls, random.uniform(-4.0, 4.0, (num // 40, 3))])


def moved(model: SparseModel, similarity: pycolmap.Sim3d) -> SparseModel:
    """The same reconstruction in another frame and in other units."""
    rotation = similarity.rotation.matrix()
    positions = model.c2w[:, :, 3] @ rotation.T * similarity.scale + similarity.translation
    c2w = np.concatenate([rotation @ model.c2w[:, :, :3], positions[:, :, None]], axis=2)
    return replace(model, points=similarity * model.points, c2w=c2w)
