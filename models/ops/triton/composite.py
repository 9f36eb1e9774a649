"""Compositing on a GPU: one warp per ray, which takes a block of samples at a time."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.refusals import backward_of
from models.ops.triton.lanes import CLEARED, clear, column_widths, joined, strided
from utils.rays import RaySamples

COMPOSITE_BLOCK = 32  # samples of a ray at a time: most rays have no more


def composite(alpha: Tensor, values: tuple[Tensor, ...], packed: RaySamples, faint: float = 0.0) -> tuple[Tensor, ...]:
    """Weights, opacity, distance and sums as in `models.ops.composite`, all float32."""
    return _Composite.apply(alpha.contiguous(), packed, faint, *values)


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, alpha: Tensor, packed: RaySamples, faint: float, *values: Tensor
    ) -> tuple[Tensor, ...]:
        R, S = packed.ray_start.shape[0], alpha.shape[0]
        weights, transmittance = torch.empty(2, S, device=alpha.device)
        opacity, distance = weights.new_empty(2, R)
        sums = [weights.new_empty(R, *part.shape[1:]) for part in values]
        widths = column_widths(values)
        _composite[(R + triton.cdiv(S, CLEARED),)](
            alpha=alpha,
            values=strided(values),
            **_of_samples(packed),
            S=S,
            weights=weights,
            transmittance=transmittance,
            opacity=opacity,
            distance=distance,
            sums=tuple(sums),
            widths=tuple(map(tl.constexpr, widths)),
            WIDTH=triton.next_power_of_2(sum(widths)),
            BLOCK=COMPOSITE_BLOCK,
            CLEARED=CLEARED,
            num_warps=1,
        )
        ctx.save_for_backward(alpha, transmittance, *values)
        ctx.packed, ctx.faint = packed, faint
        ctx.set_materialize_grads(False)
        return weights, opacity, distance, *sums

    @staticmethod
    @once_differentiable
    @backward_of("rays.composite")
    def backward(ctx: FunctionCtx, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        alpha, transmittance, *values = ctx.saved_tensors
        grad_weights, grad_opacity, grad_distance, *grad_sums = (
            None if grad is None else grad.contiguous() for grad in grad_outputs
        )
        R, S = ctx.packed.ray_start.shape[0], alpha.shape[0]
        seen = [index for index, grad in enumerate(grad_sums) if grad is not None]
        wanted = [index for index in seen if ctx.needs_input_grad[3 + index]]
        grad_alpha = torch.empty_like(alpha)
        grad_values = {
            index: torch.empty_like(values[index], memory_format=torch.contiguous_format) for index in wanted
        }
        widths = column_widths([values[index] for index in seen])
        _composite_backward[(R + triton.cdiv(S, CLEARED),)](
            alpha=alpha,
            values=strided([values[index] for index in seen]),
            transmittance=transmittance,
            **_of_samples(ctx.packed),
            S=S,
            grad_weights=grad_weights,
            grad_opacity=grad_opacity,
            grad_distance=grad_distance,
            grad_sums=tuple(grad_sums[index] for index in seen),
            grad_alpha=grad_alpha,
            grad_values=tuple(grad_values.get(index) for index in seen),
            faint=ctx.faint,
            widths=tuple(map(tl.constexpr, widths)),
            padded=tuple(tl.constexpr(triton.next_power_of_2(width)) for width in widths),
            BLOCK=COMPOSITE_BLOCK,
            CLEARED=CLEARED,
            num_warps=1,
        )
        return grad_alpha, None, None, *(grad_values.get(index) for index in range(len(values)))


def _of_samples(packed: RaySamples) -> dict[str, Tensor]:
    """What both kernels read of the samples beside their opacity and values."""
    return {
        "t_starts": packed.t_starts.contiguous(),
        "t_ends": packed.t_ends.contiguous(),
        "ray_start": packed.ray_start,
        "ray_count": packed.ray_count,
        "num_rays": packed.ray_start.shape[0],
        "count": packed.num_samples,
    }


@triton.jit
def _middles(t_starts, t_ends, i, inside):
    return 0.5 * (tl.load(t_starts + i, mask=inside, other=0.0) + tl.load(t_ends + i, mask=inside, other=0.0))


@triton.jit
def _composite(
    alpha,
    values,
    t_starts,
    t_ends,
    ray_start,
    ray_count,
    num_rays,
    count,
    S,
    weights,
    transmittance,
    opacity,
    distance,
    sums,
    widths: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    CLEARED: tl.constexpr,
):
    """Blends the samples of a ray, all columns in a tile of WIDTH; programs behind the last ray clear padding."""
    ray = tl.program_id(0).to(tl.int64)
    if ray >= num_rays:
        clear(weights, 1, (ray - num_rays) * CLEARED, tl.load(count), S, CLEARED)
        return
    start, num = tl.load(ray_start + ray), tl.load(ray_count + ray).to(tl.int32)
    lane, columns = tl.arange(0, BLOCK), tl.arange(0, WIDTH)
    light = 1.0  # that reaches the first sample of the block, and later its last
    total, reach = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    summed = tl.zeros((BLOCK, WIDTH), tl.float32)
    first = 0
    while first < num:
        i = start + first + lane
        inside = first + lane < num
        own = tl.load(alpha + i, mask=inside, other=0.0).to(tl.float32)
        # A product that excludes the sample itself: that of its neighbours in front, which are still in the cache.
        front = tl.load(alpha + i - 1, mask=inside & (first + lane > 0), other=0.0).to(tl.float32)
        reaching = light * tl.cumprod(1.0 - front, 0)
        weight = reaching * own
        tl.store(transmittance + i, reaching, mask=inside)
        tl.store(weights + i, weight, mask=inside)
        total += weight
        reach += weight * _middles(t_starts, t_ends, i, inside)
        summed += weight[:, None] * joined(values, widths, i[:, None], columns[None, :], inside[:, None])
        light = tl.sum(tl.where(lane == BLOCK - 1, reaching, 0.0), 0)
        first += BLOCK
    tl.store(opacity + ray, tl.sum(total, 0))
    tl.store(distance + ray, tl.sum(reach, 0))
    row, begin = tl.sum(summed, 0), 0
    for index in tl.static_range(len(sums)):
        own = columns - begin
        tl.store(sums[index] + ray * widths[index] + own, row, mask=(own >= 0) & (own < widths[index]))
        begin += widths[index]


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
def _through_values(values, grad_sums, grad_values, widths: tl.constexpr, padded: tl.constexpr, ray, i, inside, seen):
    """What samples give by their values; the gradients of these are written, unless None. seen: (BLOCK,) the weights,
    0 where samples get no gradient."""
    gain = tl.zeros_like(seen)
    for index in tl.static_range(len(values)):
        pointer, row, column = values[index]
        channel = tl.arange(0, padded[index])
        cell = inside[:, None] & (channel < widths[index])[None, :]
        upstream = tl.load(grad_sums[index] + ray * widths[index] + channel, channel < widths[index], other=0.0)
        value = tl.load(pointer + i[:, None] * row + channel[None, :] * column, mask=cell, other=0.0)
        gain += tl.sum(value.to(tl.float32) * upstream[None, :], 1)
        if grad_values[index] is not None:
            entry = grad_values[index] + i[:, None] * widths[index] + channel[None, :]
            tl.store(entry, seen[:, None] * upstream[None, :], mask=cell)
    return gain


@triton.jit
def _composite_backward(
    alpha,
    values,
    transmittance,
    t_starts,
    t_ends,
    ray_start,
    ray_count,
    num_rays,
    count,
    S,
    grad_weights,
    grad_opacity,
    grad_distance,
    grad_sums,
    grad_alpha,
    grad_values,
    faint,
    widths: tl.constexpr,
    padded: tl.constexpr,
    BLOCK: tl.constexpr,
    CLEARED: tl.constexpr,
):
    """Gradients of a ray, from its last sample to its first; an output without gradient is None, or no part of
    values."""
    ray = tl.program_id(0).to(tl.int64)
    if ray >= num_rays:
        row, used = (ray - num_rays) * CLEARED, tl.load(count)
        clear(grad_alpha, 1, row, used, S, CLEARED)
        for index in tl.static_range(len(values)):
            if grad_values[index] is not None:
                clear(grad_values[index], widths[index], row, used, S, CLEARED)
        return
    start, num = tl.load(ray_start + ray), tl.load(ray_count + ray).to(tl.int32)
    lane = tl.arange(0, BLOCK)
    # `behind` is what the samples further back give per unit of light that reaches them; a sample turns it into
    # alpha * gain + (1 - alpha) * behind. Without a division by 1 - alpha the gradient is exact at alpha = 1.
    last_behind = 0.0
    first = 0
    while first < num:
        i = start + (num - 1 - first - lane)
        inside = first + lane < num
        own = tl.load(alpha + i, mask=inside, other=0.0).to(tl.float32)
        reaching = tl.load(transmittance + i, mask=inside, other=0.0)
        gain = tl.zeros((BLOCK,), tl.float32)
        if grad_weights is not None:
            gain += tl.load(grad_weights + i, mask=inside, other=0.0)
        if grad_opacity is not None:
            gain += tl.load(grad_opacity + ray)
        if grad_distance is not None:
            gain += tl.load(grad_distance + ray) * _middles(t_starts, t_ends, i, inside)
        # what is cut off is cut off by multiplication: a NaN stays visible
        seen = reaching * (reaching >= faint).to(tl.float32)
        gain += _through_values(values, grad_sums, grad_values, widths, padded, ray, i, inside, seen * own)
        one, zero = tl.full((BLOCK,), 1.0, tl.float32), tl.zeros((BLOCK,), tl.float32)
        scale, shift, front_scale, front_shift = tl.associative_scan((1.0 - own, own * gain, one, zero), 0, _after)
        behind = front_scale * last_behind + front_shift
        tl.store(grad_alpha + i, seen * (gain - behind), mask=inside)
        last_behind = tl.sum(tl.where(lane == BLOCK - 1, scale * last_behind + shift, 0.0), 0)
        first += BLOCK
