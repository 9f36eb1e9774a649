"""Losses against values by hand; rays beyond the budget and padding count for nothing."""

import math
from dataclasses import replace

import pytest
import torch

from models.base import RenderOutput, SampleValues
from systems.loss_config import LossConfig
from utils import registry
from utils.errors import ConfigError
from utils.rays import RayBatch, Rays, RaySamples

CONFIG = LossConfig({}, sparsity_scale=2.0)


def example() -> tuple[RenderOutput, RayBatch]:
    """Two live rays and a dead one; three samples and one of padding."""
    index = torch.tensor([0, 0, 1, 0])
    t = torch.tensor([1.0, 2.0, 1.0, 0.0])
    packed = RaySamples(
        index, t, t + 0.5 * (t > 0), torch.tensor([0, 2, 3]), torch.tensor([2, 1, 0]),
        torch.tensor([True, True, False]), torch.tensor(3),
    )  # fmt: skip
    gradient = torch.tensor([[3.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [100.0, 0, 0]])
    samples = SampleValues(
        packed,
        points=torch.zeros(4, 3),
        weights=torch.tensor([0.5, 0.5, 1.0, 0.0]),
        sdf=torch.tensor([0.0, 0.0, 0.0, 50.0]),
        gradient=gradient,
        curvature=torch.tensor([0.3, 0.0, 0.0, 9.0]),
    )
    rgb = torch.tensor([[0.5, 0.5, 0.5], [1.0, 1.0, 1.0], [9.0, 9.0, 9.0]])
    opacity = torch.tensor([0.5, 1.0, 0.3])
    out = RenderOutput(rgb, opacity, torch.ones(3), None, packed.within_budget, samples)
    rays = Rays(torch.zeros(3, 3), torch.zeros(3, 3), torch.zeros(3), torch.ones(3))
    batch = RayBatch(
        rays,
        torch.tensor([[0.0, 0, 0], [1.0, 1, 1], [0, 0, 0]]),
        torch.tensor([0.0, 1.0, 0.0]),
        torch.ones(3),
        torch.zeros(3, dtype=torch.int64),
    )
    return out, batch


def loss(name: str, out: RenderOutput, batch: RayBatch) -> float:
    return float(registry.find("loss", name).target(out, batch, CONFIG))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rgb_mse", 0.125),
        ("rgb_l1", 0.25),
        ("rgb", 0.0625),
        ("rgb_smooth_l1", 0.0625),
        ("mask", (0.6931472 + 0.0010005) / 2),
        ("opaque", (0.6931472 + 0.0079073) / 2),
        ("eikonal", 4.0 / 3.0),
        ("sparsity", 1.0),
        ("curvature", 0.1),
    ],
)
def test_value_by_hand(name: str, expected: float) -> None:
    assert loss(name, *example()) == pytest.approx(expected, rel=1e-4)


def test_distortion_falls_when_the_weights_draw_together() -> None:
    out, batch = example()
    sharp = replace(out, samples=replace(out.samples, weights=torch.tensor([1.0, 0.0, 1.0, 0.0])))
    assert 0.0 < loss("distortion", sharp, batch) < loss("distortion", out, batch)


def test_without_masks_the_mask_loss_is_zero() -> None:
    out, batch = example()
    assert loss("mask", out, replace(batch, mask=None)) == 0.0


def test_the_mask_loss_leaves_out_the_band_around_an_outline() -> None:
    out, batch = example()
    for in_band, expected in (([False, True, False], 0.6931472), ([True, False, False], 0.0010005), ([True] * 3, 0.0)):
        found = loss("mask", out, replace(batch, in_band=torch.tensor(in_band)))
        assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["eikonal", "sparsity", "curvature", "ncc", "sparse_points"])
def test_a_density_has_no_sdf_losses(name: str) -> None:
    out, batch = example()
    bare = replace(out, samples=SampleValues(out.samples.packed, out.samples.points, out.samples.weights))
    with pytest.raises(ConfigError, match=f"lambda_{name}"):
        loss(name, bare, batch)


def test_a_weight_may_warm_up_and_decay() -> None:
    curvature = [[0, 0.0], [1000, 5.0e-4], [3000, 1.0e-4]]
    config = LossConfig.from_config({"lambda_curvature": curvature}, "system.loss")
    weight = config.weights["curvature"]
    assert [weight.at(step) for step in (0, 500, 2000, 9000)] == pytest.approx([0.0, 2.5e-4, 3e-4, 1e-4])
    assert not config.is_off("curvature")
    assert config.to_config()["lambda_curvature"] == curvature


def through_points(points: torch.Tensor) -> torch.Tensor:
    """The radius of the sphere that the loss alone finds, from another one."""
    out, batch = example()
    radius = torch.tensor(0.9, requires_grad=True)
    out = replace(out, field=lambda places: places.norm(dim=-1) - radius)
    optimizer = torch.optim.SGD([radius], lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        registry.find("loss", "sparse_points").target(out, replace(batch, points=points), CONFIG).backward()
        optimizer.step()
    return radius.detach()


def test_the_surface_goes_through_sparse_points_and_past_strays() -> None:
    points = 0.5 * torch.nn.functional.normalize(torch.randn(200, 3), dim=-1)
    strays = torch.cat([points, 8.0 * points[:60]])
    assert through_points(points) == pytest.approx(0.5, abs=0.03)
    assert through_points(strays) == pytest.approx(0.5, abs=0.03)


def test_every_ray_dead_is_a_zero_not_a_nan() -> None:
    out, batch = example()
    dead = replace(out, within_budget=torch.zeros(3, dtype=torch.bool))
    assert loss("rgb_mse", dead, batch) == 0.0


def test_a_ray_without_samples_does_not_thin_the_colour_losses() -> None:
    out, batch = example()
    packed = replace(out.samples.packed, ray_count=torch.tensor([2, 0, 0]))
    empty = replace(out, samples=replace(out.samples, packed=packed))
    assert loss("rgb_mse", empty, batch) == 0.25  # of the first ray alone
    assert loss("mask", empty, batch) == pytest.approx((0.6931472 + 0.0010005) / 2)  # of both within the budget


def test_an_edge_costs_nothing_though_few_rays_of_a_pixel_tell_where_it_runs() -> None:
    out, batch = example()
    num, share = 20_000, 0.3  # pixels, and how much of each is white
    white = torch.rand(4 * num, generator=torch.Generator().manual_seed(0)) < share
    seen = white.float()[:, None].expand(-1, 3)
    packed = replace(out.samples.packed, ray_count=torch.ones(4 * num))
    samples = replace(out.samples, packed=packed)
    of_rays = replace(
        out, rgb=seen, opacity=seen[:, 0], distance=seen[:, 0], within_budget=torch.ones_like(white), samples=samples
    )
    pixels, truth = of_rays.by_pixel(4), replace(batch, rgb=torch.full((num, 3), share))
    biased = replace(pixels, rgb_variance=None)
    assert loss("rgb_mse", biased, truth) == pytest.approx(share * (1.0 - share) / 4, rel=0.05)
    assert loss("rgb_mse", pixels, truth) == pytest.approx(0.0, abs=0.002)
    elsewhere = replace(truth, rgb=torch.full((num, 3), share + 0.2))
    assert loss("rgb_mse", pixels, elsewhere) == pytest.approx(0.04, abs=0.004)


def one_pixel(
    rendered: list[float], photographed: list[float], config: LossConfig, name: str, variance: float | None = None
) -> tuple[float, list[float]]:
    """The loss of one pixel, and its gradient with respect to the rendered colour, in float64."""
    out, batch = example()
    rgb = torch.tensor([rendered] * 3, dtype=torch.float64, requires_grad=True)
    spread = None if variance is None else torch.full_like(rgb, variance, requires_grad=True)
    out = replace(out, rgb=rgb, rgb_variance=spread)
    truth = replace(batch, rgb=torch.tensor([photographed] * 3, dtype=torch.float64))
    value = registry.find("loss", name).target(out, truth, config)
    value.backward()
    return value.item(), rgb.grad.sum(0).tolist()


COLOR_LOSSES = ["rgb_mse", "rgb_l1", "rgb_smooth_l1", "rgb_robust"]
WHITE_LEVEL = LossConfig({}, saturated_level=0.996)


@pytest.mark.parametrize("name", COLOR_LOSSES)
def test_an_over_exposed_channel_pulls_only_what_is_darker(name: str) -> None:
    photographed = [1.0, 254.0 / 255.0, 0.5]
    brighter, gradient = one_pixel([1.3, 1.0, 0.5], photographed, WHITE_LEVEL, name)
    assert (brighter, gradient) == (0.0, [0.0, 0.0, 0.0])
    assert one_pixel([1.3, 1.0, 0.5], photographed, CONFIG, name)[0] > 0.0  # without the level
    darker, gradient = one_pixel([0.9, 0.9, 0.5], photographed, WHITE_LEVEL, name)
    plain = one_pixel([0.9, 0.9, 0.5], photographed, CONFIG, name)
    assert (darker, gradient) == plain
    assert darker > 0.0
    assert max(gradient[:2]) < 0.0


@pytest.mark.parametrize("name", COLOR_LOSSES)
def test_a_channel_below_the_level_is_compared_as_ever(name: str) -> None:
    for rendered in (0.8, 1.2):
        found, expected = (
            one_pixel([rendered] * 3, [253.0 / 255.0, 0.99, 0.9], config, name) for config in (WHITE_LEVEL, CONFIG)
        )
        assert found == expected


def test_where_an_over_exposed_pixel_lets_all_pass_no_variance_is_taken_off() -> None:
    """Else a wide spread of the rays of a pixel would be worth something."""
    assert one_pixel([1.2] * 3, [1.0] * 3, WHITE_LEVEL, "rgb_mse", variance=0.3)[0] == 0.0
    assert one_pixel([0.8] * 3, [1.0] * 3, WHITE_LEVEL, "rgb_mse", variance=0.3)[0] == pytest.approx(0.04 - 0.3)


@pytest.mark.parametrize("shape", [1.0, 0.5, 0.0, -2.0, -10.0])
def test_a_robust_loss_is_the_squared_error_for_small_ones_and_flatter_beyond(shape: float) -> None:
    config = LossConfig({}, robust_scale=0.1, robust_shape=shape)
    small, large = [0.5 + 1e-4] * 3, [0.9] * 3
    assert one_pixel(small, [0.5] * 3, config, "rgb_robust")[0] == pytest.approx(1e-8, rel=1e-4)
    value, gradient = one_pixel(large, [0.5] * 3, config, "rgb_robust")
    by_hand = {1.0: 17**0.5 - 1.0, 0.0: math.log(9.0), -2.0: 2.0 * 16.0 / (16.0 + 4.0)}  # rho of errors of four scales
    if shape in by_hand:
        assert value == pytest.approx(2.0 * 0.01 * by_hand[shape])
    assert 0.0 < sum(gradient) < 0.8


@pytest.mark.parametrize("shape", [1.0, 0.0, -2.0])
def test_gradients_of_the_robust_loss(shape: float) -> None:
    out, batch = example()
    config = LossConfig({}, robust_scale=0.2, robust_shape=shape, saturated_level=0.996)
    truth = replace(batch, rgb=batch.rgb.double())
    robust = registry.find("loss", "rgb_robust").target
    rgb = (0.1 + 0.8 * torch.rand(3, 3, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda colors: robust(replace(out, rgb=colors), truth, config), rgb)
