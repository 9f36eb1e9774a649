"""Losses of rays on a GPU: one pass over the rays forward, one backward, whatever the number of losses."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.losses import COLOR_LOSSES, EDGE, RayTargets
from models.ops.refusals import backward_of
from models.ops.triton.lanes import add_up, partial_sums

BLOCK = 128  # rays of a program
LOWEST, HIGHEST = tl.constexpr(EDGE), tl.constexpr(1.0 - EDGE)  # opacities that are compared


def ray_losses(
    names: tuple[str, ...], rgb: Tensor, opacity: Tensor, variance: Tensor | None, targets: RayTargets
) -> Tensor:
    """Means as in `models.ops.ray_losses`, float32."""
    return _RayLosses.apply(rgb.contiguous(), opacity.contiguous(), variance, names, targets)


class _RayLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        rgb: Tensor,
        opacity: Tensor,
        variance: Tensor | None,
        names: tuple[str, ...],
        targets: RayTargets,
    ) -> Tensor:
        variance = None if variance is None else variance.contiguous()
        ctx.names, ctx.targets = names, targets
        grid = (triton.cdiv(len(rgb), BLOCK),)
        partial = partial_sums(grid[0], names, rgb.device)
        if grid[0]:
            _rays[grid](**_of_rays(names, rgb, opacity, variance, targets), partial=partial)
        means, shares = add_up(partial)
        ctx.save_for_backward(rgb, opacity, variance, shares)
        return means

    @staticmethod
    @once_differentiable
    @backward_of("losses.ray_losses")
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        rgb, opacity, variance, shares = ctx.saved_tensors
        has_color = any(name in COLOR_LOSSES for name in ctx.names)
        grad_rgb = torch.empty_like(rgb) if has_color else None
        grad_opacity = torch.empty_like(opacity) if set(ctx.names) - set(COLOR_LOSSES) else None
        grad_variance = None if variance is None or "rgb_mse" not in ctx.names else torch.empty_like(variance)
        grid = (triton.cdiv(len(rgb), BLOCK),)
        _rays_backward[grid](
            **_of_rays(ctx.names, rgb, opacity, variance, ctx.targets),
            grad=grad.contiguous(),
            shares=shares,
            grad_rgb=grad_rgb,
            grad_opacity=grad_opacity,
            grad_variance=grad_variance,
        )
        return grad_rgb, grad_opacity, grad_variance, None, None


def _of_rays(
    names: tuple[str, ...], rgb: Tensor, opacity: Tensor, variance: Tensor | None, targets: RayTargets
) -> dict[str, Any]:
    """What both kernels of rays take."""
    flags = {"within_budget": targets.within_budget, "in_band": targets.in_band}
    return {
        "rgb": rgb,
        "opacity": opacity,
        "variance": variance,
        "truth": targets.rgb.contiguous(),
        "mask": None if targets.mask is None else targets.mask.contiguous(),
        **{name: None if flag is None else flag.contiguous().view(torch.uint8) for name, flag in flags.items()},
        "ray_count": None if targets.ray_count is None else targets.ray_count.contiguous(),
        "R": len(rgb),
        "NAMES": tuple(map(tl.constexpr, names)),
        "LEVEL": targets.saturated_level,
        "SCALE": targets.robust_scale,
        "SHAPE": targets.robust_shape,
        "BLOCK": BLOCK,
    }


@triton.constexpr_function
def _is_color(name: str) -> bool:
    return name in COLOR_LOSSES


@triton.jit
def _error(rgb, truth, entry, exists, LEVEL: tl.constexpr):
    """Of one channel, and whether it is that of a rendering at least as bright as an over-exposed truth."""
    true = tl.load(truth + entry, exists, other=0.0)
    error = tl.load(rgb + entry, exists, other=0.0).to(tl.float32) - true
    free = tl.zeros_like(true) > 0.0
    if LEVEL is not None:
        free = (true >= LEVEL) & (error >= 0.0)
        error = tl.where(free, 0.0, error)
    return error, free


@triton.jit
def _color_cost(error, NAME: tl.constexpr, SCALE: tl.constexpr, SHAPE: tl.constexpr):
    """Of the error of a channel, and its slope."""
    if NAME == "rgb_mse":
        cost, slope = error * error, 2.0 * error
    elif NAME == "rgb_l1":
        cost, slope = tl.abs(error), tl.where(error > 0.0, 1.0, tl.where(error < 0.0, -1.0, error))
    elif NAME == "rgb_smooth_l1":
        size = tl.abs(error)
        cost = tl.where(size < 1.0, 0.5 * error * error, size - 0.5)
        slope = tl.where(error > 1.0, 1.0, tl.where(error < -1.0, -1.0, error))
    else:
        base = error * error / (SCALE * SCALE * (2.0 - SHAPE))
        power = tl.log(1.0 + base)
        slope = 2.0 * error * tl.exp((0.5 * SHAPE - 1.0) * power)
        if SHAPE == 0.0:  # where 1 + base is rounded, its logarithm is too, by as much
            rounded = (1.0 + base) - 1.0
            cost = (
                2.0
                * SCALE
                * SCALE
                * tl.where(rounded == 0.0, base, power * (base / tl.where(rounded == 0.0, 1.0, rounded)))
            )
        else:
            cost = SCALE * SCALE * 2.0 * (2.0 - SHAPE) / SHAPE * (tl.exp(0.5 * SHAPE * power) - 1.0)
    return cost, slope


@triton.jit
def _opacity_cost(opacity, mask, ray, exists, NAME: tl.constexpr):
    """Of the opacity of a ray, and its slope."""
    p = tl.load(opacity + ray, exists, other=0.5).to(tl.float32)
    moves = (p >= LOWEST) & (p <= HIGHEST)
    p = tl.where(p < LOWEST, LOWEST, tl.where(p > HIGHEST, HIGHEST, p))
    if NAME == "opaque":
        cost, slope = -(p * tl.log(p) + (1.0 - p) * tl.log(1.0 - p)), tl.log(1.0 - p) - tl.log(p)
    elif mask is not None:
        target = tl.load(mask + ray, exists, other=0.0)
        cost, slope = -(target * tl.log(p) + (1.0 - target) * tl.log(1.0 - p)), (p - target) / (p * (1.0 - p))
    else:
        cost, slope = tl.zeros_like(p), tl.zeros_like(p)
    return cost, tl.where(moves, slope, 0.0)


@triton.jit
def _counts(within_budget, in_band, ray_count, ray, exists, NAME: tl.constexpr):
    """Whether a loss counts a ray."""
    counts = exists & (tl.load(within_budget + ray, exists, other=0) != 0)
    if _is_color(NAME):
        if ray_count is not None:
            counts = counts & (tl.load(ray_count + ray, exists, other=0) > 0)
    elif NAME == "mask" and in_band is not None:
        counts = counts & (tl.load(in_band + ray, exists, other=0) == 0)
    return counts


@triton.jit
def _rays(
    rgb,
    opacity,
    variance,
    truth,
    mask,
    within_budget,
    in_band,
    ray_count,
    R,
    partial,
    NAMES: tl.constexpr,
    LEVEL: tl.constexpr,
    SCALE: tl.constexpr,
    SHAPE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Sums and counts of a block of rays."""
    program, num = tl.program_id(0), tl.num_programs(0)
    ray = program * BLOCK + tl.arange(0, BLOCK)
    exists = ray < R
    for index in tl.static_range(len(NAMES)):
        if _is_color(NAMES[index]):
            cost = tl.zeros((BLOCK,), tl.float32)
            for channel in tl.static_range(3):
                error, free = _error(rgb, truth, 3 * ray + channel, exists, LEVEL)
                cost += _color_cost(error, NAMES[index], SCALE, SHAPE)[0]
                if NAMES[index] == "rgb_mse" and variance is not None:
                    cost -= tl.where(free, 0.0, tl.load(variance + 3 * ray + channel, exists, other=0.0))
            cost = cost / 3.0
        else:
            cost = _opacity_cost(opacity, mask, ray, exists, NAMES[index])[0]
        counts = _counts(within_budget, in_band, ray_count, ray, exists, NAMES[index])
        tl.store(partial + index * num + program, tl.sum(tl.where(counts, cost, 0.0), 0))
        tl.store(partial + (len(NAMES) + index) * num + program, tl.sum(counts.to(tl.float32), 0))


@triton.jit
def _rays_backward(
    rgb,
    opacity,
    variance,
    truth,
    mask,
    within_budget,
    in_band,
    ray_count,
    R,
    grad,
    shares,
    grad_rgb,
    grad_opacity,
    grad_variance,
    NAMES: tl.constexpr,
    LEVEL: tl.constexpr,
    SCALE: tl.constexpr,
    SHAPE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradients of a block of rays; what no loss reads has none."""
    ray = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    exists = ray < R
    for channel in tl.static_range(3):
        total = tl.zeros((BLOCK,), tl.float32)
        error, free = _error(rgb, truth, 3 * ray + channel, exists, LEVEL)
        for index in tl.static_range(len(NAMES)):
            if _is_color(NAMES[index]):
                counts = _counts(within_budget, in_band, ray_count, ray, exists, NAMES[index])
                weight = tl.where(counts, tl.load(grad + index) * tl.load(shares + index) / 3.0, 0.0)
                total += weight * _color_cost(error, NAMES[index], SCALE, SHAPE)[1]
                if NAMES[index] == "rgb_mse" and grad_variance is not None:
                    tl.store(grad_variance + 3 * ray + channel, tl.where(free, 0.0, -weight), exists)
        if grad_rgb is not None:
            tl.store(grad_rgb + 3 * ray + channel, total, exists)
    if grad_opacity is not None:
        total = tl.zeros((BLOCK,), tl.float32)
        for index in tl.static_range(len(NAMES)):
            if not _is_color(NAMES[index]):
                counts = _counts(within_budget, in_band, ray_count, ray, exists, NAMES[index])
                slope = _opacity_cost(opacity, mask, ray, exists, NAMES[index])[1]
                total += tl.where(counts, tl.load(grad + index) * tl.load(shares + index) * slope, 0.0)
        tl.store(grad_opacity + ray, total, exists)
