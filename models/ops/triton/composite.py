"""Compositing on a GPU: one warp per ray, which takes a block of samples at a time."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.refusals import backward_of
from utils.rays import RaySamples

COMPOSITE_BLOCK = 32  # samples of a ray at a time: most rays have no more


def composite(alpha: Tensor, values: Tensor, packed: RaySamples) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, opacity and accumulated values as in `models.ops.composite`, all float32."""
    return _Composite.apply(alpha, values, packed)


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, alpha: Tensor, values: Tensor, packed: RaySamples) -> tuple[Tensor, Tensor, Tensor]:
        R, (S, C) = packed.ray_start.shape[0], values.shape
        alpha, values = alpha.contiguous(), values.contiguous()
        weights = torch.zeros(S, device=alpha.device)  # the kernel leaves padding as it is
        transmittance = torch.empty_like(weights)
        opacity, accumulated = weights.new_empty(R), weights.new_empty(R, C)
        _composite[(R,)](
            alpha=alpha,
            values=values,
            ray_start=packed.ray_start,
            ray_count=packed.ray_count,
            weights=weights,
            transmittance=transmittance,
            opacity=opacity,
            accumulated=accumulated,
            C=C,
            WIDTH=triton.next_power_of_2(C),
            BLOCK=COMPOSITE_BLOCK,
            num_warps=1,
        )
        ctx.save_for_backward(alpha, values, transmittance, packed.ray_start, packed.ray_count)
        ctx.set_materialize_grads(False)
        return weights, opacity, accumulated

    @staticmethod
    @once_differentiable
    @backward_of("rays.composite")
    def backward(ctx: FunctionCtx, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        alpha, values, transmittance, ray_start, ray_count = ctx.saved_tensors
        grad_weights, grad_opacity, grad_accumulated = (
            None if grad is None else grad.contiguous() for grad in grad_outputs
        )
        S, C = values.shape
        # one allocation for both, of zeros, since the kernel leaves padding as it is
        zeros = alpha.new_zeros(S * (1 if grad_accumulated is None else C + 1))
        grad_alpha, grad_values = zeros[:S], None if grad_accumulated is None else zeros[S:].view(S, C)
        _composite_backward[(ray_start.shape[0],)](
            alpha=alpha,
            values=values,
            transmittance=transmittance,
            ray_start=ray_start,
            ray_count=ray_count,
            grad_weights=grad_weights,
            grad_opacity=grad_opacity,
            grad_accumulated=grad_accumulated,
            grad_alpha=grad_alpha,
            grad_values=grad_values,
            C=C,
            WIDTH=triton.next_power_of_2(C),
            BLOCK=COMPOSITE_BLOCK,
            num_warps=1,
        )
        return grad_alpha, grad_values, None


@triton.jit
def _composite(
    alpha,
    values,
    ray_start,
    ray_count,
    weights,
    transmittance,
    opacity,
    accumulated,
    C: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Blends the samples of a ray; WIDTH is C rounded up to a power of two."""
    ray = tl.program_id(0).to(tl.int64)
    start, count = tl.load(ray_start + ray), tl.load(ray_count + ray).to(tl.int32)
    lane, channel = tl.arange(0, BLOCK), tl.arange(0, WIDTH)
    light = 1.0  # that reaches the first sample of the block, and later its last
    total = tl.zeros((BLOCK,), tl.float32)
    summed = tl.zeros((BLOCK, WIDTH), tl.float32)
    first = 0
    while first < count:
        i = start + first + lane
        inside = first + lane < count
        own = tl.load(alpha + i, mask=inside, other=0.0).to(tl.float32)
        # A product that excludes the sample itself: that of its neighbours in front, which are still in the cache.
        front = tl.load(alpha + i - 1, mask=inside & (first + lane > 0), other=0.0).to(tl.float32)
        reaching = light * tl.cumprod(1.0 - front, 0)
        weight = reaching * own
        tl.store(transmittance + i, reaching, mask=inside)
        tl.store(weights + i, weight, mask=inside)
        cell = inside[:, None] & (channel < C)[None, :]
        value = tl.load(values + i[:, None] * C + channel[None, :], mask=cell, other=0.0).to(tl.float32)
        total += weight
        summed += weight[:, None] * value
        light = tl.sum(tl.where(lane == BLOCK - 1, reaching, 0.0), 0)
        first += BLOCK
    tl.store(opacity + ray, tl.sum(total, 0))
    tl.store(accumulated + ray * C + channel, tl.sum(summed, 0), mask=channel < C)


@triton.jit
def _after(scale_a, shift_a, front_scale_a, front_shift_a, scale_b, shift_b, front_scale_b, front_shift_b):
    """Run a of affine maps, then run b: the whole as scale and shift, and the same without its last map."""
    return (
        scale_b * scale_a,
        scale_b * shift_a + shift_b,
        front_scale_b * scale_a,
        front_scale_b * shift_a + front_shift_b,
    )


@triton.jit
def _composite_backward(
    alpha,
    values,
    transmittance,
    ray_start,
    ray_count,
    grad_weights,
    grad_opacity,
    grad_accumulated,
    grad_alpha,
    grad_values,
    C: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradients of a ray, from its last sample to its first; an output without gradient is None."""
    ray = tl.program_id(0).to(tl.int64)
    start, count = tl.load(ray_start + ray), tl.load(ray_count + ray).to(tl.int32)
    lane, channel = tl.arange(0, BLOCK), tl.arange(0, WIDTH)
    # `behind` is what the samples further back give per unit of light that reaches them; a sample turns it into
    # alpha * gain + (1 - alpha) * behind. Without a division by 1 - alpha the gradient is exact at alpha = 1.
    last_behind = 0.0
    first = 0
    while first < count:
        i = start + (count - 1 - first - lane)
        inside = first + lane < count
        own = tl.load(alpha + i, mask=inside, other=0.0).to(tl.float32)
        reaching = tl.load(transmittance + i, mask=inside, other=0.0)
        gain = tl.zeros((BLOCK,), tl.float32)
        if grad_weights is not None:
            gain += tl.load(grad_weights + i, mask=inside, other=0.0)
        if grad_opacity is not None:
            gain += tl.load(grad_opacity + ray)
        if grad_accumulated is not None:
            cell = inside[:, None] & (channel < C)[None, :]
            entry = i[:, None] * C + channel[None, :]
            upstream = tl.load(grad_accumulated + ray * C + channel, mask=channel < C, other=0.0)
            value = tl.load(values + entry, mask=cell, other=0.0).to(tl.float32)
            gain += tl.sum(value * upstream[None, :], 1)
            tl.store(grad_values + entry, (reaching * own)[:, None] * upstream[None, :], mask=cell)
        one, zero = tl.full((BLOCK,), 1.0, tl.float32), tl.zeros((BLOCK,), tl.float32)
        scale, shift, front_scale, front_shift = tl.associative_scan((1.0 - own, own * gain, one, zero), 0, _after)
        behind = front_scale * last_behind + front_shift
        tl.store(grad_alpha + i, reaching * (gain - behind), mask=inside)
        last_behind = tl.sum(tl.where(lane == BLOCK - 1, scale * last_behind + shift, 0.0), 0)
        first += BLOCK
