"""Photographs of textured shapes whose sdf is a formula, and what a model of that sdf would render of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from analytic_shapes import cameras_around
from torch import Tensor

from datasets.poses import look_at
from datasets.sources import source_views
from models.base import RenderOutput, SampleValues
from systems.consistency import ncc
from systems.loss_config import LossConfig
from utils.cameras import Camera, pixel_rays
from utils.rays import Photographs, RayBatch, RaySamples

SIZE, SAMPLES, VIEWS = 96, 32, 4
CONFIG = LossConfig({}, ncc_rays=300, ncc_patch=7, ncc_stride=1, ncc_views=VIEWS, ncc_best=2)
Field = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # points and a parameter -> sdf and gradient


def colors_of(points: np.ndarray) -> np.ndarray:
    """(..., 3) in [0, 1]: waves of several directions and lengths."""
    waves = np.random.default_rng(1).normal(size=(12, 3)) * 14.0
    grey = 0.5 + 0.12 * np.sin(points @ waves.T + np.arange(12.0)).sum(-1) / np.sqrt(3.0)
    return np.repeat(grey[..., None], 3, axis=-1).clip(0.0, 1.0)


@dataclass(frozen=True)
class Shape:
    """A surface whose sdf moves with one parameter; `truth` is the parameter of the photographs."""

    field: Field
    cameras: list[Camera]
    truth: float
    near: float
    far: float


def sphere() -> Shape:
    def field(points: Tensor, radius: Tensor) -> tuple[Tensor, Tensor]:
        norm = points.norm(dim=-1)
        return norm - radius, points / norm[:, None]

    return Shape(field, cameras_around(14, 3.0, SIZE, 0.55), 0.7, 2.0, 3.2)


def plane() -> Shape:
    def field(points: Tensor, height: Tensor) -> tuple[Tensor, Tensor]:
        return points[:, 2] - height, torch.tensor([0.0, 0.0, 1.0], dtype=points.dtype).expand_as(points)

    spots = [(0.9 * np.cos(a), 0.9 * np.sin(a), 2.2) for a in np.linspace(0.0, 5.0, 6)]
    focal = 1.4 * SIZE
    cameras = [
        Camera(
            look_at(np.array(s), np.zeros(3), np.array([0.0, 1.0, 0.1])),
            np.array([focal, focal, 48, 48.0]),
            (SIZE, SIZE),
        )
        for s in spots
    ]
    return Shape(field, cameras, 0.1, 1.5, 3.2)


SHAPES = {"sphere": sphere, "plane": plane}


def rays_of(camera: Camera):
    pixel = torch.arange(SIZE * SIZE)
    c2w, intrinsics = torch.tensor(camera.c2w), torch.tensor(camera.intrinsics)
    rays = pixel_rays(pixel % SIZE, pixel // SIZE, c2w, intrinsics, 0.0, 9.0)
    return replace(rays, origins=rays.origins.double(), directions=rays.directions.double())


def photograph(shape: Shape, camera: Camera) -> np.ndarray:
    """(SIZE * SIZE, 3) uint8: the surface, found by sphere tracing, in its colours."""
    rays = rays_of(camera)
    distance = torch.zeros(len(rays), dtype=torch.float64)
    for _ in range(60):
        points = rays.origins + distance[:, None] * rays.directions
        distance = distance + shape.field(points, torch.tensor(shape.truth))[0].clamp(max=0.5)
    points = rays.origins + distance[:, None] * rays.directions
    return (colors_of(points.numpy()) * (distance < 9.0)[:, None].numpy() * 255.0).round().astype(np.uint8)


def batch_of(shape: Shape, per_image: int = 16, pixels: np.ndarray | None = None) -> RayBatch:
    num, count = len(shape.cameras), SIZE * SIZE
    c2w = np.stack([camera.c2w for camera in shape.cameras])
    pixels = np.concatenate([photograph(shape, camera) for camera in shape.cameras]) if pixels is None else pixels
    photographs = Photographs(
        torch.from_numpy(pixels),
        torch.arange(num) * count,
        torch.full((num,), SIZE),
        torch.tensor(c2w),
        torch.tensor(np.stack([camera.intrinsics for camera in shape.cameras])),
        0.0,
        9.0,
    )
    sources = source_views(photographs, torch.full((num,), SIZE), c2w, VIEWS)
    image = torch.arange(num).repeat_interleave(per_image)
    within = torch.randint(30, 66, (len(image), 2))
    pixel = image * count + within[:, 0] * SIZE + within[:, 1]
    rays = pixel_rays(within[:, 1], within[:, 0], photographs.c2w[image], photographs.intrinsics[image], 0.0, 9.0)
    return RayBatch(rays, torch.zeros(len(image), 3), None, torch.zeros(3), image, pixel, sources)


def rendered(shape: Shape, batch: RayBatch, parameter: Tensor) -> RenderOutput:
    """Samples at even distances, with an sdf that depends on the parameter."""
    R = len(batch.rays)
    edges = torch.linspace(shape.near, shape.far, SAMPLES + 1, dtype=torch.float64)
    index = torch.arange(R).repeat_interleave(SAMPLES)
    starts, counts = torch.arange(R) * SAMPLES, torch.full((R,), SAMPLES)
    within_budget = torch.ones(R, dtype=torch.bool)
    packed = RaySamples(
        index, edges[:-1].repeat(R), edges[1:].repeat(R), starts, counts, within_budget, torch.tensor(R * SAMPLES)
    )
    points = batch.rays.origins[index] + packed.t_mids[:, None] * batch.rays.directions[index]
    sdf, gradient = shape.field(points, parameter)
    samples = SampleValues(packed, points, torch.zeros(len(index)), sdf, gradient)
    field = lambda more: shape.field(more, parameter)[0]  # noqa: E731
    zeros = torch.zeros(R)
    return RenderOutput(torch.zeros(R, 3), zeros, zeros, None, within_budget, samples, field=field)


def loss(shape: Shape, batch: RayBatch, parameter: float | Tensor) -> Tensor:
    parameter = torch.as_tensor(parameter, dtype=torch.float64)
    return ncc(rendered(shape, batch, parameter), batch, CONFIG)
