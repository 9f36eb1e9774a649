"""Marching and compositing on a GPU: one warp per ray, which takes a block of intervals or samples at a time."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.packing import max_intervals, reserve
from utils.rays import Rays, RaySamples

MARCH_BLOCK = 128  # lattice intervals of a ray at a time
COMPOSITE_BLOCK = 32  # samples of a ray at a time: most rays have no more

# Loops are `while`: with NumPy 2.4 the interpreter of Triton 3.6 takes no tensor as the bound of a range.
# A middle on the face of a cell must fall on the side where the reference sees it: no multiply-add may be fused.
EXACT = {"num_warps": 1, "enable_fp_fusion": False}


def march(rays: Rays, occupied: Tensor, radius: float, step: float, jitter: Tensor, capacity: int | None) -> RaySamples:
    """Intervals in occupied cells as in `models.ops.march`: rays are walked twice, to mark and to fill."""
    R, G, K = len(rays), occupied.shape[0], max_intervals(radius, step)
    words = triton.cdiv(K, 32)
    near, far, jitter = rays.near.contiguous(), rays.far.contiguous(), jitter.contiguous()
    marks = torch.empty(R, words, dtype=torch.int32, device=jitter.device)
    counts = torch.empty(R, dtype=torch.int64, device=jitter.device)
    _mark[(R,)](
        rays.origins.contiguous(),
        rays.directions.contiguous(),
        near,
        far,
        jitter,
        occupied.contiguous().view(torch.uint8),
        step,
        0.5 * G / radius,
        K,
        words,
        marks,
        counts,
        G,
        MARCH_BLOCK // 32,
        **EXACT,
    )
    packed = reserve(counts, capacity, jitter.dtype)
    room = packed.ray_start, packed.ray_count, packed.ray_indices, packed.t_starts, packed.t_ends
    _fill[(R,)](near, far, jitter, step, K, words, marks, *room, MARCH_BLOCK, **EXACT)
    return packed


def composite(alpha: Tensor, values: Tensor, packed: RaySamples) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, opacity and accumulated values as in `models.ops.composite`, all float32."""
    return _Composite.apply(alpha, values, packed)


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, alpha: Tensor, values: Tensor, packed: RaySamples) -> tuple[Tensor, Tensor, Tensor]:
        R, (S, C) = packed.ray_start.shape[0], values.shape
        segments, alpha, values = (packed.ray_start, packed.ray_count), alpha.contiguous(), values.contiguous()
        weights = torch.zeros(S, device=alpha.device)  # the kernel leaves padding as it is
        transmittance = torch.empty_like(weights)
        opacity, accumulated = weights.new_empty(R), weights.new_empty(R, C)
        sizes = C, triton.next_power_of_2(C), COMPOSITE_BLOCK
        _composite[(R,)](alpha, values, *segments, weights, transmittance, opacity, accumulated, *sizes, num_warps=1)
        ctx.save_for_backward(alpha, values, transmittance, *segments)
        ctx.set_materialize_grads(False)
        return weights, opacity, accumulated

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        alpha, values, transmittance, *segments = ctx.saved_tensors
        upstream = [None if grad is None else grad.contiguous() for grad in grad_outputs]
        S, C = values.shape
        room = alpha.new_zeros(S * (1 if upstream[2] is None else C + 1))  # the kernel leaves padding as it is
        grad_alpha, grad_values = room[:S], None if upstream[2] is None else room[S:].view(S, C)
        sizes = C, triton.next_power_of_2(C), COMPOSITE_BLOCK
        _composite_backward[(segments[0].shape[0],)](
            alpha, values, transmittance, *segments, *upstream, grad_alpha, grad_values, *sizes, num_warps=1
        )
        return grad_alpha, grad_values, None


@triton.jit
def _edge(k, near, far, shift, step):
    """Where lattice interval k begins; the arithmetic of the reference, operation by operation."""
    return tl.minimum(tl.maximum(near + (k.to(tl.float32) + shift) * step, near), far)


@triton.jit
def _num_intervals(near, far, shift, step, K):
    """How many intervals of a ray can be longer than zero, rounded up, at most K; 0 if near or far is NaN."""
    reach = tl.maximum(far - near, 0.0) / step - shift + 2.0
    return tl.where(far > near, tl.where(reach < K, reach, K), 0.0).to(tl.int32)


@triton.jit
def cell_of(p, cells_per_unit, G: tl.constexpr):
    """Index of the cell that holds one coordinate, NaN in the first."""
    position = p * cells_per_unit + 0.5 * G
    return tl.minimum(tl.where(position > 0.0, position, 0.0), G - 1.0).to(tl.int32)


@triton.jit
def _mark(
    origins,
    directions,
    near,
    far,
    jitter,
    occupied,
    step,
    cells_per_unit,
    K,
    words,
    marks,
    counts,
    G: tl.constexpr,
    ROWS: tl.constexpr,
):
    """Sets the bits of the intervals that a ray keeps, 32 to a word, and counts them."""
    ray = tl.program_id(0).to(tl.int64)
    ray_near, ray_far, shift = tl.load(near + ray), tl.load(far + ray), tl.load(jitter + ray) - 1.0
    x0, y0, z0 = tl.load(origins + 3 * ray), tl.load(origins + 3 * ray + 1), tl.load(origins + 3 * ray + 2)
    dx, dy, dz = tl.load(directions + 3 * ray), tl.load(directions + 3 * ray + 1), tl.load(directions + 3 * ray + 2)
    row, bit = tl.arange(0, ROWS), tl.arange(0, 32)[None, :]
    kept = tl.zeros((ROWS,), tl.int32)
    num, first = _num_intervals(ray_near, ray_far, shift, step, K), 0
    while first < num:
        k = first + 32 * row[:, None] + bit
        start, end = _edge(k, ray_near, ray_far, shift, step), _edge(k + 1, ray_near, ray_far, shift, step)
        mid = 0.5 * (start + end)
        x = cell_of(x0 + dx * mid, cells_per_unit, G)
        y = cell_of(y0 + dy * mid, cells_per_unit, G)
        z = cell_of(z0 + dz * mid, cells_per_unit, G)
        keep = tl.load(occupied + (x * G + y) * G + z, mask=(end > start) & (k < K), other=0).to(tl.int32)
        word = first // 32 + row
        tl.store(marks + ray * words + word, tl.sum(keep << bit, 1), mask=word < words)
        kept += tl.sum(keep, 1)
        first += 32 * ROWS
    tl.store(counts + ray, tl.sum(kept, 0))


@triton.jit
def _fill(
    near,
    far,
    jitter,
    step,
    K,
    words,
    marks,
    ray_start,
    ray_count,
    ray_indices,
    t_starts,
    t_ends,
    BLOCK: tl.constexpr,
):
    """Writes the marked intervals of a ray that fits the capacity; the marks are those of the same blocks."""
    ray = tl.program_id(0).to(tl.int64)
    ray_near, ray_far, shift = tl.load(near + ray), tl.load(far + ray), tl.load(jitter + ray) - 1.0
    slot = tl.load(ray_start + ray)
    num = tl.where(tl.load(ray_count + ray) > 0, _num_intervals(ray_near, ray_far, shift, step, K), 0)
    first = 0
    while first < num:
        k = first + tl.arange(0, BLOCK)
        word = tl.load(marks + ray * words + k // 32, mask=k < K, other=0)
        keep = (word >> (k % 32)) & 1
        place = slot + tl.cumsum(keep, 0) - 1
        tl.store(ray_indices + place, tl.zeros_like(place) + ray, mask=keep == 1)
        tl.store(t_starts + place, _edge(k, ray_near, ray_far, shift, step), mask=keep == 1)
        tl.store(t_ends + place, _edge(k + 1, ray_near, ray_far, shift, step), mask=keep == 1)
        slot += tl.sum(keep, 0)
        first += BLOCK


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
            place = i[:, None] * C + channel[None, :]
            upstream = tl.load(grad_accumulated + ray * C + channel, mask=channel < C, other=0.0)
            value = tl.load(values + place, mask=cell, other=0.0).to(tl.float32)
            gain += tl.sum(value * upstream[None, :], 1)
            tl.store(grad_values + place, (reaching * own)[:, None] * upstream[None, :], mask=cell)
        one, zero = tl.full((BLOCK,), 1.0, tl.float32), tl.zeros((BLOCK,), tl.float32)
        scale, shift, front_scale, front_shift = tl.associative_scan((1.0 - own, own * gain, one, zero), 0, _after)
        behind = front_scale * last_behind + front_shift
        tl.store(grad_alpha + i, reaching * (gain - behind), mask=inside)
        last_behind = tl.sum(tl.where(lane == BLOCK - 1, scale * last_behind + shift, 0.0), 0)
        first += BLOCK
