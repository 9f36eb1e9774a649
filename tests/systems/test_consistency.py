"""Photographs of textured shapes agree where their surface lies, and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from analytic_shapes import cameras_around
from torch import Tensor
from torch.testing import assert_close

from datasets.geometry.neighbours import nearest_views
from datasets.poses import look_at
from models.base import RenderOutput, SampleValues
from systems.consistency import correlation, first_crossings, grey_at, ncc
from systems.loss_config import LossConfig
from utils.cameras import Camera, pixel_rays
from utils.errors import ConfigError
from utils.rays import Photographs, RayBatch, RaySamples, SourceViews

CONFIG = LossConfig({}, ncc_rays=300, ncc_patch=7, ncc_views=4, ncc_best=2)
SIZE, SAMPLES = 96, 32
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
    sources = SourceViews(photographs, torch.full((num,), SIZE), torch.from_numpy(nearest_views(c2w, CONFIG.ncc_views)))
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
    return RenderOutput(torch.zeros(R, 3), torch.zeros(R), torch.zeros(R), None, within_budget, samples)


def loss(shape: Shape, batch: RayBatch, parameter: float | Tensor) -> Tensor:
    parameter = torch.as_tensor(parameter, dtype=torch.float64)
    return ncc(rendered(shape, batch, parameter), batch, CONFIG)


@pytest.mark.parametrize("name", SHAPES)
def test_views_agree_at_the_surface_and_ever_less_away_from_it(name: str) -> None:
    shape = SHAPES[name]()
    batch = batch_of(shape)
    found = [float(loss(shape, batch, shape.truth + offset)) for offset in (0.0, 0.01, 0.03, -0.01, -0.03)]
    assert found[0] < 0.02
    assert 2.0 * found[0] < found[1] < found[2]
    assert 2.0 * found[0] < found[3] < found[4]


@pytest.mark.parametrize("name", SHAPES)
def test_the_gradient_is_that_of_finite_differences(name: str) -> None:
    shape = SHAPES[name]()
    batch = batch_of(shape)
    parameter = torch.tensor(shape.truth + 0.0123, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(shape, batch, parameter), parameter)
    step = 1e-7
    with torch.no_grad():
        numeric = (loss(shape, batch, parameter + step) - loss(shape, batch, parameter - step)) / (2.0 * step)
    assert_close(slope, numeric, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SHAPES)
def test_descent_finds_the_surface(name: str) -> None:
    shape = SHAPES[name]()
    batch = batch_of(shape)
    parameter = torch.tensor(shape.truth - 0.02, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([parameter], lr=2e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss(shape, batch, parameter).backward()
        optimizer.step()
    assert float(parameter.detach()) == pytest.approx(shape.truth, abs=0.005)


def test_a_normal_is_turned_towards_that_of_the_surface() -> None:
    shape = plane()
    batch = batch_of(shape)

    def tilted(points: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        return points[:, 2] - shape.truth, torch.stack([slope, slope * 0.0, slope * 0.0 + 1.0]).expand_as(points)

    slope = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    value = ncc(rendered(replace(shape, field=tilted), batch, slope), batch, CONFIG)
    value.backward()
    assert float(value.detach()) > 5.0 * float(loss(shape, batch, shape.truth))
    assert float(slope.grad) > 0.0


def test_there_is_nothing_to_compare_without_contrast_and_without_a_crossing() -> None:
    shape = plane()
    batch = batch_of(shape)
    assert float(loss(shape, batch, -5.0)) == 0.0  # no ray meets it
    flat = batch_of(shape, pixels=np.full((len(shape.cameras) * SIZE * SIZE, 3), 90, np.uint8))
    assert float(loss(shape, flat, shape.truth + 0.1)) == 0.0
    pixels = batch.sources.photographs.pixels
    masked = torch.cat([pixels, torch.zeros_like(pixels[:, :1])], dim=1)
    sources = replace(batch.sources, photographs=replace(batch.sources.photographs, pixels=masked))
    assert float(loss(shape, replace(batch, sources=sources), shape.truth + 0.1)) == 0.0


def test_a_batch_of_padding_alone_gives_zero_and_no_gradient() -> None:
    batch = batch_of(plane())
    R, zeros = len(batch.rays), torch.zeros(6, dtype=torch.float64)
    none = torch.zeros(R, dtype=torch.int64)
    packed = RaySamples(zeros.long(), zeros, zeros, none, none, none.bool(), torch.tensor(0))
    sdf, gradient = torch.zeros(6, dtype=torch.float64), torch.zeros(6, 3, dtype=torch.float64)
    samples = SampleValues(packed, gradient, zeros, sdf.requires_grad_(), gradient.requires_grad_())
    value = ncc(RenderOutput(torch.zeros(R, 3), none, none, None, none.bool(), samples), batch, CONFIG)
    value.backward()
    assert float(value.detach()) == 0.0
    assert not sdf.grad.any()  # a NaN is not zero either
    assert not gradient.grad.any()


def test_crossings_are_the_first_of_rays_and_lie_between_adjoining_samples() -> None:
    index = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 0])
    starts = torch.tensor([1.0, 2, 3, 4, 1, 2, 1, 5, 1, 2, 0])
    packed = RaySamples(
        index, starts, starts + (starts > 0), torch.tensor([0, 4, 6, 8]), torch.tensor([4, 2, 2, 2]),
        torch.ones(4, dtype=torch.bool), torch.tensor(10),
    )  # fmt: skip
    sdf = torch.tensor([3.0, -1.0, 1.0, -1.0, -1.0, 2.0, 1.0, -1.0, 1.0, -3.0, -9.0])
    gradient = torch.tensor([0.0, 0.0, 2.0]).expand(11, 3)
    found = first_crossings(packed, sdf, gradient, 3)
    assert found.usable.tolist() == [True, True, False]  # ray 1 comes from within, ray 2 has a gap
    assert found.ray[:2].tolist() == [0, 3]
    assert_close(found.distance[:2], torch.tensor([2.25, 1.75]))
    assert_close(found.normal[:2], torch.tensor([[0.0, 0.0, 1.0]]).expand(2, 3))


def test_grey_between_pixels_is_linear_and_stays_within_its_image() -> None:
    pixels = torch.tensor([[0], [50], [100], [150], [255], [255]], dtype=torch.uint8).expand(6, 3)
    photographs = Photographs(
        pixels, torch.tensor([0, 4]), torch.tensor([2, 2]), torch.zeros(2, 3, 4), torch.zeros(2, 4), 0.0, 1.0
    )
    sources = SourceViews(photographs, torch.tensor([2, 1]), torch.tensor([[1], [0]]))
    xy = torch.tensor([[0.5, 0.5], [1.0, 0.5], [1.0, 1.0], [1.5, 9.0]], dtype=torch.float64)
    grey, opaque = grey_at(sources, torch.zeros(4, dtype=torch.int64), xy)
    assert_close(grey * 255.0, torch.tensor([0.0, 25.0, 75.0, 150.0], dtype=torch.float64))
    assert opaque.all()


def test_correlation_knows_neither_brightness_nor_contrast() -> None:
    a, ones = torch.rand(5, 49, dtype=torch.float64), torch.ones(5, 49, dtype=torch.float64)
    assert_close(correlation(a, 0.3 * a + 0.2, ones)[0], ones[:, 0], atol=1e-3, rtol=0)
    assert (correlation(a, -a, ones)[0] < -0.99).all()


def test_pixels_beside_the_mask_do_not_count() -> None:
    a, b = torch.rand(2, 5, 49, dtype=torch.float64)
    weights = (torch.arange(49) < 30).double().expand(5, 49)
    assert_close(correlation(a, b, weights)[0], correlation(a[:, :30], b[:, :30], weights[:, :30])[0])
    spoiled = torch.where(weights > 0, a, 7.0)
    assert_close(correlation(spoiled, b, weights)[0], correlation(a, b, weights)[0])


@pytest.mark.parametrize(("option", "value"), [("ncc_patch", 10), ("ncc_patch", 1), ("ncc_rays", 0), ("ncc_views", 3)])
def test_options_that_mean_nothing_are_refused(option: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"system\.loss\.{option}: "):
        LossConfig.from_config({option: value}, "system.loss")
