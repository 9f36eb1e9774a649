"""Photographs of an ellipsoid on a table, drawn ray by ray, with the silhouettes that a mask should have."""

import numpy as np
from capture_scenes import AXES, cameras, model_of_points, surface, table

from datasets.capture.sparse_model import SparseModel

SIZE, FOCAL = (120, 90), 120.0
_ROOM, _TABLE_HALF = 6.0, 2.2  # the walls around; half the edge of the table


def drawn_scene(
    plain: bool = False, num: int = 16, lift: float = 1.6
) -> tuple[SparseModel, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The model, and by name the photographs (H, W, 3) uint8 and the true silhouettes (H, W) bool.

    plain: a white table without texture, and without points in the model."""
    c2w = cameras(num, distance=3.0, lift=lift)
    points = surface(600) if plain else np.concatenate([surface(600), table(1500)])
    model = model_of_points(points, c2w)
    intrinsics = np.tile([FOCAL, FOCAL, SIZE[0] / 2, SIZE[1] / 2], (num, 1))
    model = SparseModel(
        model.points, model.colors, model.track_lengths, model.names, c2w, intrinsics, np.tile(SIZE, (num, 1))
    )
    random = np.random.default_rng(3)
    drawn = [_draw(c2w[view], plain, random) for view in range(num)]
    photos = {name: image for name, (image, _) in zip(model.names, drawn, strict=True)}
    return model, photos, {name: mask for name, (_, mask) in zip(model.names, drawn, strict=True)}


def _draw(c2w: np.ndarray, plain: bool, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A photograph with an exposure of its own and noise, and the silhouette of the ellipsoid."""
    column, row = np.meshgrid(np.arange(SIZE[0]) + 0.5, np.arange(SIZE[1]) + 0.5)
    rays = np.stack([(column - SIZE[0] / 2) / FOCAL, (row - SIZE[1] / 2) / FOCAL, np.ones_like(row)], axis=-1)
    rays = rays @ c2w[:, :3].T
    origin = c2w[:, 3]
    a, b = ((rays / AXES) ** 2).sum(-1), (rays / AXES * (origin / AXES)).sum(-1)
    root = b**2 - a * (((origin / AXES) ** 2).sum() - 1.0)
    inside = root > 0.0
    hit = origin + ((-b - np.sqrt(np.maximum(root, 0.0))) / a)[..., None] * rays
    color = np.full((*inside.shape, 3), 90.0) + 40.0 * np.sin(3.0 * rays)  # the room
    with np.errstate(divide="ignore"):
        along = (-AXES[2] - origin[2]) / rays[..., 2]
    spot = origin + along[..., None] * rays
    on_table = (along > 0.0) & (np.abs(spot[..., :2]) < _TABLE_HALF).all(-1)
    wood = 150.0 + 30.0 * np.sin(9.0 * spot[..., :1]) * np.sin(7.0 * spot[..., 1:2]) * np.array([1.0, 0.9, 0.7])
    color = np.where(on_table[..., None], 225.0 if plain else wood, color)
    paint = np.stack([190.0 + 30.0 * np.sin(8.0 * hit[..., 2]), 60.0 + 40.0 * np.sin(9.0 * hit[..., 0])], axis=-1)
    color = np.where(inside[..., None], np.concatenate([paint, 40.0 * np.ones((*inside.shape, 1))], axis=-1), color)
    color = color * random.uniform(0.85, 1.1) + random.normal(0.0, 2.0, color.shape)
    return np.clip(color, 0.0, 255.0).astype(np.uint8), inside
