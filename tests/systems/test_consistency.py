"""Photographs of textured shapes agree where their surface lies, and nowhere else."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from analytic_shapes import cameras_around
from torch import Tensor
from torch.testing import assert_close

from datasets.poses import look_at
from datasets.sources import source_views
from models.base import RenderOutput, SampleValues
from models.ops import PatchSpec
from systems.consistency import NO_SCORE, Crossings, first_crossings, homographies, ncc, patch_errors
from systems.loss_config import LossConfig
from utils.cameras import Camera, pixel_rays
from utils.errors import ConfigError
from utils.rays import Photographs, RayBatch, RaySamples

CONFIG = LossConfig({}, ncc_rays=300, ncc_patch=7, ncc_stride=1, ncc_views=4, ncc_best=2)
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
    sources = source_views(photographs, torch.full((num,), SIZE), c2w, CONFIG.ncc_views)
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
    assert float(loss(shape, batch_of(shape, pixels=masked.numpy()), shape.truth + 0.1)) == 0.0


@pytest.mark.parametrize("name", SHAPES)
def test_neither_gain_nor_offset_of_a_photograph_moves_the_surface(name: str) -> None:
    shape = SHAPES[name]()
    pixels = np.concatenate([photograph(shape, camera) for camera in shape.cameras])
    of_image = np.repeat(np.arange(len(shape.cameras)), SIZE * SIZE)
    gains, offsets = np.random.default_rng(3).uniform((0.4, 0.0), (0.8, 40.0), (len(shape.cameras), 2)).T
    dimmed = (pixels * gains[of_image, None] + offsets[of_image, None]).round().astype(np.uint8)
    batch = batch_of(shape, pixels=dimmed)
    found = [float(loss(shape, batch, shape.truth + offset)) for offset in (0.0, 0.01, -0.01)]
    assert found[0] < 0.04
    assert 2.0 * found[0] < min(found[1:])


def test_noise_pulls_less_than_texture() -> None:
    """A photograph's own noise tells how much of a patch's contrast is texture."""
    shape = plane()
    batch = batch_of(
        shape, pixels=np.random.default_rng(0).normal(90, 6, (6 * SIZE * SIZE, 1)).round().astype(np.uint8).repeat(3, 1)
    )
    crossings = first_crossings(rendered(shape, batch, torch.tensor(shape.truth)).samples, 300)
    spec = PatchSpec(11, 2)
    assert_close(batch.sources.noise, torch.full((6,), 6.0 / 255.0), rtol=0.1, atol=0.0)
    assert float(patch_errors(crossings, batch, spec)[1].max()) == 0.0
    quiet = replace(batch, sources=replace(batch.sources, noise=torch.full((6,), 0.25 * 6.0 / 255.0)))
    errors, texture = patch_errors(crossings, quiet, spec)
    assert_close(texture[errors < NO_SCORE].mean().float(), torch.tensor(0.75), rtol=0.0, atol=0.04)  # 1 - (2 / 4)^2


def test_what_is_seen_from_behind_or_at_a_grazing_angle_is_not_compared() -> None:
    """A plane under one camera that looks straight down and others that look at it ever more from the side."""
    angles = torch.tensor([0.0, 40.0, 76.0, 80.0, 120.0], dtype=torch.float64).deg2rad()
    c2w = torch.eye(3, 4, dtype=torch.float64).repeat(5, 1, 1)
    c2w[:, 0, 3], c2w[:, 2, 3] = angles.sin(), angles.cos()
    image, others = torch.arange(5), torch.arange(5).roll(-1)[:, None]
    up = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).expand(5, 3)
    crossings = Crossings(image, torch.ones(5, dtype=torch.bool), torch.zeros(5, 3, dtype=torch.float64), up)
    assert homographies(crossings, c2w, image, others)[1][:, 0].tolist() == [True, True, False, False, False]
    assert homographies(crossings, c2w, others[:, 0], image[:, None])[1][:, 0].tolist() == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_gradients_reach_the_cameras() -> None:
    shape = plane()
    batch = batch_of(shape, per_image=4)
    c2w = batch.sources.photographs.c2w.double().requires_grad_()
    moved = replace(batch.sources, photographs=replace(batch.sources.photographs, c2w=c2w))
    loss(shape, replace(batch, sources=moved), shape.truth + 0.01).backward()
    assert c2w.grad.isfinite().all()
    assert float(c2w.grad.abs().amax((1, 2)).min()) > 0.0


def test_of_several_rays_of_a_pixel_the_first_is_followed() -> None:
    shape = sphere()
    batch = batch_of(shape)
    every = torch.arange(len(batch.rays)).repeat_interleave(3)
    spread = replace(batch, rays=batch.rays[every], image=batch.image[every], pixel=batch.pixel[every])
    out = rendered(shape, spread, torch.tensor(shape.truth + 0.01, dtype=torch.float64))
    twisted = torch.where((out.samples.packed.ray_indices % 3 == 0), out.samples.sdf, out.samples.sdf + 0.02)
    value = ncc(replace(out, samples=replace(out.samples, sdf=twisted)), spread.by_pixel(3), CONFIG)
    assert_close(value, loss(shape, batch, shape.truth + 0.01))


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
    gradient, points = torch.tensor([0.0, 0.0, 2.0]).expand(11, 3), packed.t_mids[:, None] * torch.ones(3)
    found = first_crossings(SampleValues(packed, points, sdf, sdf, gradient), 3)
    assert found.usable.tolist() == [True, True, False]  # ray 1 comes from within, ray 2 has a gap
    assert found.entry[:2].tolist() == [0, 3]
    assert_close(found.points[:2], torch.tensor([[2.25], [1.75]]).expand(2, 3))
    assert_close(found.normal[:2], torch.tensor([[0.0, 0.0, 2.0]]).expand(2, 3))


@pytest.mark.parametrize(
    ("option", "value"), [("ncc_patch", 10), ("ncc_patch", 1), ("ncc_rays", 0), ("ncc_views", 1), ("ncc_stride", 6)]
)
def test_options_that_mean_nothing_are_refused(option: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"system\.loss\.{option}: "):
        LossConfig.from_config({option: value}, "system.loss")
