"""Which patches of photographs count, and which have nothing to tell."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from analytic_shapes import cameras_around
from textured_shapes import CONFIG, SHAPES, SIZE, batch_of, loss, photograph, plane, rendered, sphere
from torch import Tensor
from torch.testing import assert_close

from models.base import RenderOutput, SampleValues
from models.ops import PatchSpec
from systems.consistency import NO_SCORE, Crossings, first_crossings, homographies, mean_depth, ncc, patch_errors
from systems.loss_config import LossConfig
from utils.errors import ConfigError
from utils.rays import RaySamples


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


def test_views_that_something_hides_the_surface_from_do_not_count() -> None:
    """A picture of something else in a third of the photographs, as long as enough others are left."""
    shape = replace(sphere(), cameras=cameras_around(50, 3.0, SIZE, 0.55))
    pixels = np.concatenate([photograph(shape, camera) for camera in shape.cameras]).reshape(-1, SIZE * SIZE, 3)
    pixels[::3] = pixels[::3, ::-1]
    batch = batch_of(shape, pixels=pixels.reshape(-1, 3))
    crossings = first_crossings(rendered(shape, batch, torch.tensor(shape.truth)).samples, 300)
    errors, _ = patch_errors(crossings, batch, PatchSpec(7))
    image = batch.image[crossings.entry]
    shown = (image % 3 > 0)[:, None] & (batch.sources.neighbours[image] % 3 > 0) & (errors < NO_SCORE)
    hidden = (image % 3 > 0)[:, None] & (batch.sources.neighbours[image] % 3 == 0) & (errors < NO_SCORE)
    assert float(errors[shown].mean()) < 0.02 < 0.5 < float(errors[hidden].mean())
    several = (shown.sum(1) >= 2) & hidden.any(1)
    assert several.any()
    assert float(errors[several].topk(2, largest=False).values.mean()) < 0.02


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
    out = RenderOutput(torch.zeros(R, 3), none, none, None, none.bool(), samples, field=lambda points: points[:, 0])
    value = ncc(out, batch, CONFIG)
    value.backward()
    assert float(value.detach()) == 0.0
    assert not sdf.grad.any()  # a NaN is not zero either
    assert not gradient.grad.any()


@pytest.mark.parametrize(
    ("option", "value"), [("ncc_patch", 10), ("ncc_patch", 1), ("ncc_rays", 0), ("ncc_views", 1), ("ncc_stride", 6)]
)
def test_options_that_mean_nothing_are_refused(option: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"system\.loss\.{option}: "):
        LossConfig.from_config({option: value}, "system.loss")


def test_a_patch_of_a_round_surface_lies_behind_its_tangent_plane() -> None:
    """Looked at from straight above by sigma^2 / R on average, with sigma the deviation of columns and of rows."""
    shape, spec = sphere(), PatchSpec(11, 2)
    batch = batch_of(shape)
    out = rendered(shape, batch, torch.tensor(shape.truth, dtype=torch.float64))
    crossings = first_crossings(out.samples, 300)
    depth, flat = mean_depth(crossings, batch, out.field, spec)
    image = batch.image[crossings.entry]
    away = batch.sources.photographs.c2w[image][..., 3] - crossings.points
    distance, normal = away.norm(dim=-1), crossings.normal
    facing = (away * normal).sum(-1) / distance
    spread = distance / batch.sources.photographs.intrinsics[image, 0] * spec.deviation
    expected = 0.5 * spread.square() * (1.0 + facing**-2) / shape.truth
    usable = crossings.usable & (facing > 0.5)
    assert usable.sum() > 100
    assert flat[usable].all()
    assert_close((depth * normal).sum(-1)[usable], expected[usable], rtol=0.05, atol=0.0)
    assert not mean_depth(crossings, batch, out.field, PatchSpec(81, 8))[1][usable].any()  # no plane at all


def test_a_round_surface_is_found_where_it_is() -> None:
    shape, config = sphere(), replace(CONFIG, ncc_patch=11, ncc_stride=2)
    batch = batch_of(shape, per_image=48)

    def error(offset: float, field: Callable[[Tensor], Tensor] | None = None) -> float:
        out = rendered(shape, batch, torch.tensor(shape.truth + offset, dtype=torch.float64))
        return float(ncc(out if field is None else replace(out, field=field), batch, config))

    assert error(0.0) < min(error(0.0015), error(-0.0015))
    flat = lambda points: points[:, 0] * 0.0  # noqa: E731, as if no patch had a depth
    assert error(-0.003, flat) < error(0.0, flat)  # taken for planes they pull it inwards
