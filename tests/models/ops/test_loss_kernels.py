"""Losses of rays and samples in one pass: every backend in float32 against the definition, one by one, in float64."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from models.ops import RayTargets, ray_losses, sample_losses
from models.ops.losses import COLOR_LOSSES, OPACITY_LOSSES, SAMPLE_LOSSES
from utils.rays import RaySamples

R, ALL = 200, (*COLOR_LOSSES, *OPACITY_LOSSES)  # more rays than one program takes


def rays(
    device: torch.device, level: float | None, shape: float, masks: bool = True
) -> tuple[list[Tensor], RayTargets]:
    """rgb, opacity and variance, float64, and what they are compared with."""
    rgb, truth = 3.0 * torch.rand(R, 3, device=device), torch.rand(R, 3, device=device)
    opacity = torch.rand(R, device=device)
    opacity[:6] = torch.tensor([0.0, 1.0, 1e-4, 0.9999, 0.5, 0.25], device=device)
    inputs = [rgb, opacity, 0.1 * torch.rand(R, 3, device=device)]
    targets = RayTargets(
        truth,
        torch.rand(R, device=device) if masks else None,
        torch.rand(R, device=device) < 0.2 if masks else None,
        torch.rand(R, device=device) < 0.8,
        torch.randint(3, (R,), device=device),
        saturated_level=level,
        robust_scale=0.2,
        robust_shape=shape,
    )
    return [x.double().requires_grad_() for x in inputs], targets


def color_cost(name: str, error: Tensor, scale: float, shape: float) -> Tensor:
    """Of one channel."""
    size, squared = error.abs(), (error / scale).square()
    if name == "rgb_mse":
        return error.square()
    if name == "rgb_l1":
        return size
    if name == "rgb_smooth_l1":
        return 0.5 * error.square() if size < 1.0 else size - 0.5
    if shape == 0.0:
        return scale**2 * 2.0 * torch.log1p(0.5 * squared)
    return scale**2 * 2.0 * (2.0 - shape) / shape * ((squared / (2.0 - shape) + 1.0) ** (0.5 * shape) - 1.0)


def loss_of_one(name: str, rgb: Tensor, opacity: Tensor, variance: Tensor, targets: RayTargets, ray: int) -> Tensor:
    """Of one ray, channel by channel."""
    if name in COLOR_LOSSES:
        total = rgb.new_zeros(())
        for channel in range(3):
            truth = targets.rgb[ray, channel].double()
            error, level = rgb[ray, channel] - truth, targets.saturated_level
            if level is None or truth < level or error < 0.0:
                total = total + color_cost(name, error, targets.robust_scale, targets.robust_shape)
                total = total - (variance[ray, channel] if name == "rgb_mse" else 0.0)
        return total / 3.0
    p = opacity[ray].clamp(1e-3, 1.0 - 1e-3)
    target = p if name == "opaque" else targets.mask[ray].double()
    return -(target * p.log() + (1.0 - target) * (1.0 - p).log())


def counts(name: str, targets: RayTargets) -> list[int]:
    counted = targets.within_budget.clone()
    if name in COLOR_LOSSES and targets.ray_count is not None:
        counted &= targets.ray_count > 0
    if name == "mask" and targets.in_band is not None:
        counted &= ~targets.in_band
    return counted.nonzero()[:, 0].tolist()


@pytest.mark.parametrize(("level", "shape"), [(None, 1.0), (0.6, 0.0), (None, -2.0)])
def test_all_losses_of_rays_are_their_definitions(backend, device, level, shape):
    exact, targets = rays(device, level, shape)
    weights = torch.rand(len(ALL), device=device) + 0.5
    means = [
        sum(loss_of_one(name, *exact, targets, ray) for ray in counts(name, targets)) / len(counts(name, targets))
        for name in ALL
    ]
    expected = torch.autograd.grad((torch.stack(means) * weights.double()).sum(), exact)
    inputs = [x.detach().float().requires_grad_() for x in exact]
    found = ray_losses(ALL, *inputs, targets, backend=backend)
    assert_close(found.double(), torch.stack(means), atol=1e-5, rtol=2e-5)
    for mine, own in zip(torch.autograd.grad((found * weights).sum(), inputs), expected, strict=True):
        assert_close(mine.double(), own, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("names", [("rgb_mse",), ("opaque", "mask"), ("mask", "rgb_l1")])
def test_what_no_loss_reads_has_no_gradient(backend, device, names):
    (rgb, opacity, _), targets = rays(device, None, 1.0, masks=False)
    rgb, opacity = (x.detach().float().requires_grad_() for x in (rgb, opacity))
    found = ray_losses(names, rgb, opacity, None, replace(targets, ray_count=None), backend=backend)
    assert "mask" not in names or found[names.index("mask")] == 0.0
    grads = torch.autograd.grad(found.sum(), (rgb, opacity), allow_unused=True)
    moves = [any(name in COLOR_LOSSES for name in names), "opaque" in names]
    assert [grad is not None and bool(grad.any()) for grad in grads] == moves


def test_where_no_ray_counts_losses_are_zero(backend, device):
    inputs, targets = rays(device, None, 1.0)
    inputs = [x.detach().float().requires_grad_() for x in inputs]
    found = ray_losses(
        ALL, *inputs, replace(targets, within_budget=torch.zeros_like(targets.within_budget)), backend=backend
    )
    assert not found.any()
    assert not any(grad.any() for grad in torch.autograd.grad(found.sum(), inputs))


def samples(packed: RaySamples, device: torch.device) -> tuple[Tensor, Tensor]:
    """sdf (S,) and gradient (S, 3), NaN on padding, as columns of wider tensors."""
    S = len(packed.t_starts)
    columns, gradient = torch.randn(S, 4, device=device), torch.randn(3, S, device=device).t()
    columns[2, 1], gradient[3] = 0.0, 0.0
    columns[~packed.valid], gradient[~packed.valid] = math.nan, math.nan
    return columns[:, 1], gradient


@pytest.mark.parametrize("names", [SAMPLE_LOSSES, ("sparsity",), ("eikonal",)])
def test_losses_of_samples_are_their_definitions(backend, device, packed_from, names):
    packed = packed_from([300, 0, 250, 40], 700)
    sdf, gradient = (x.requires_grad_() for x in samples(packed, device))
    weights, count = torch.rand(len(names), device=device) + 0.5, int(packed.num_samples)
    d, g = sdf.detach()[:count].double(), gradient.detach()[:count].double()
    length = g.norm(dim=1)
    means = {"eikonal": (length - 1.0).square().mean(), "sparsity": torch.exp(-3.0 * d.abs()).mean()}
    found = sample_losses(names, sdf, gradient, packed, 3.0, backend=backend)
    assert_close(found.double(), torch.stack([means[name] for name in names]), atol=1e-6, rtol=1e-5)
    got = torch.autograd.grad((found * weights).sum(), (sdf, gradient), allow_unused=True)
    direction = torch.where(length[:, None] > 0.0, g / length[:, None], 0.0)
    slopes = {
        "sparsity": (-3.0 * d.sign() * torch.exp(-3.0 * d.abs()) / count, got[0]),
        "eikonal": (2.0 * (length - 1.0)[:, None] * direction / count, got[1]),
    }
    for name, (slope, mine) in slopes.items():
        if name in names:
            assert_close(mine[:count].double(), slope * weights[names.index(name)], atol=1e-8, rtol=1e-4)
            assert not mine[count:].nan_to_num().any()
        else:
            assert mine is None


@pytest.mark.parametrize("backend", ["triton"], indirect=True)
def test_fused_losses_repeat_to_the_bit_and_leave_padding_alone(backend, device, packed_from):
    packed = packed_from([300, 0, 250, 40], 700)
    sdf, gradient = (x.requires_grad_() for x in samples(packed, device))
    runs = [sample_losses(SAMPLE_LOSSES, sdf, gradient, packed, 3.0, backend=backend) for _ in range(2)]
    assert torch.equal(*runs)
    assert not any(grad[590:].any() for grad in torch.autograd.grad(runs[0].sum(), (sdf, gradient)))


@pytest.mark.parametrize("capacity", [0, 8])
def test_no_samples_cost_nothing(backend, device, packed_from, capacity):
    packed = packed_from([0, 0], capacity)
    sdf, gradient = (torch.rand(*shape, device=device, requires_grad=True) for shape in ((capacity,), (capacity, 3)))
    found = sample_losses(SAMPLE_LOSSES, sdf, gradient, packed, 1.0, backend=backend)
    assert not found.any()
    assert not any(grad.any() for grad in torch.autograd.grad(found.sum(), (sdf, gradient)))
