"""Marching on a GPU: one warp per ray, which takes a block of intervals at a time."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.ops.packing import allocate_samples, max_intervals
from models.ops.triton.composite import composite
from models.ops.triton.lanes import CLEARED, clear
from utils.rays import Rays, RaySamples

__all__ = ["composite", "march"]

MARCH_BLOCK = 128  # lattice intervals of a ray at a time
FIT_BLOCK = 2048  # rays at a time of the one program that finds their places

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
        origins=rays.origins.contiguous(),
        directions=rays.directions.contiguous(),
        near=near,
        far=far,
        jitter=jitter,
        occupied=occupied.contiguous().view(torch.uint8),
        step=step,
        cells_per_unit=0.5 * G / radius,
        K=K,
        words=words,
        marks=marks,
        counts=counts,
        G=G,
        ROWS=MARCH_BLOCK // 32,
        **EXACT,
    )
    packed = fitting(counts, capacity, jitter.dtype)
    _fill[(R + num_clearing(packed),)](
        near=near,
        far=far,
        jitter=jitter,
        step=step,
        K=K,
        words=words,
        marks=marks,
        packed=fields(packed),
        R=R,
        BLOCK=MARCH_BLOCK,
        CLEARED=CLEARED,
        **EXACT,
    )
    return packed


def fitting(counts: Tensor, capacity: int | None, dtype: torch.dtype) -> RaySamples:
    """Samples of the rays that fit, see `models.ops.packing.fit_capacity`; the march has yet to write all of them,
    padding too."""
    if capacity is None:
        return allocate_samples(counts, None, dtype)
    R = len(counts)
    ray_indices, (t_starts, t_ends) = counts.new_empty(capacity), counts.new_empty(2, capacity, dtype=dtype)
    ray_start, ray_count = counts.new_empty(2, R)
    within_budget, num_samples = counts.new_empty(R, dtype=torch.bool), counts.new_empty(())
    _fit[(1,)](
        counts=counts,
        ray_start=ray_start,
        ray_count=ray_count,
        within_budget=within_budget.view(torch.uint8),
        num_samples=num_samples,
        capacity=capacity,
        R=R,
        BLOCK=FIT_BLOCK,
        num_warps=16,
    )
    return RaySamples(ray_indices, t_starts, t_ends, ray_start, ray_count, within_budget, num_samples)


def num_clearing(packed: RaySamples) -> int:
    """Programs behind those of the rays that `store_padding` takes."""
    return triton.cdiv(packed.t_starts.shape[0], CLEARED)


def fields(packed: RaySamples) -> tuple[Tensor | int, ...]:
    """Samples as a march writes them: the indices of their rays, starts, ends and number; S; and the places of rays."""
    size = packed.num_samples, packed.t_starts.shape[0]
    return packed.ray_indices, packed.t_starts, packed.t_ends, *size, packed.ray_start, packed.ray_count


@triton.jit
def _fit(counts, ray_start, ray_count, within_budget, num_samples, capacity, R, BLOCK: tl.constexpr):
    """The prefix sums of one program: from the first ray on that does not fit, no ray holds samples."""
    passed, kept = tl.zeros((1,), tl.int64), tl.zeros((1,), tl.int64)
    first = 0
    while first < R:
        ray = first + tl.arange(0, BLOCK)
        own = tl.load(counts + ray, ray < R, other=0)
        end = passed + tl.cumsum(own, 0)
        fits = end <= capacity
        kept = tl.maximum(kept, tl.max(tl.where(fits, end, 0), 0))
        tl.store(ray_start + ray, tl.where(fits, end - own, kept), ray < R)
        tl.store(ray_count + ray, tl.where(fits, own, 0), ray < R)
        tl.store(within_budget + ray, fits, ray < R)
        passed = tl.maximum(passed, tl.max(end, 0))
        first += BLOCK
    tl.store(num_samples + tl.arange(0, 1), kept)


@triton.jit
def store_padding(program, packed, CLEARED: tl.constexpr):
    """Zeros in the padding among the samples of one of the programs behind those of the rays, from 0 on."""
    ray_indices, t_starts, t_ends, count, S, _, _ = packed
    used = tl.load(count)
    clear(ray_indices, 1, program * CLEARED, used, S, CLEARED)
    clear(t_starts, 1, program * CLEARED, used, S, CLEARED)
    clear(t_ends, 1, program * CLEARED, used, S, CLEARED)


@triton.jit
def store_kept(packed, slot, keep, ray, start, end):
    """Writes the intervals of a block that are kept, and returns the slot behind them."""
    ray_indices, t_starts, t_ends, _, _, _, _ = packed
    target = slot + tl.cumsum(keep, 0) - 1
    tl.store(ray_indices + target, tl.zeros_like(target) + ray, mask=keep == 1)
    tl.store(t_starts + target, start, mask=keep == 1)
    tl.store(t_ends + target, end, mask=keep == 1)
    return slot + tl.sum(keep, 0)


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
def _fill(near, far, jitter, step, K, words, marks, packed, R, BLOCK: tl.constexpr, CLEARED: tl.constexpr):
    """Writes the marked intervals of a ray that fits the capacity; the marks are those of the same blocks."""
    ray = tl.program_id(0).to(tl.int64)
    if ray >= R:
        store_padding(ray - R, packed, CLEARED)
        return
    ray_near, ray_far, shift = tl.load(near + ray), tl.load(far + ray), tl.load(jitter + ray) - 1.0
    slot = tl.load(packed[5] + ray)
    num = tl.where(tl.load(packed[6] + ray) > 0, _num_intervals(ray_near, ray_far, shift, step, K), 0)
    first = 0
    while first < num:
        k = first + tl.arange(0, BLOCK)
        word = tl.load(marks + ray * words + k // 32, mask=k < K, other=0)
        start, end = _edge(k, ray_near, ray_far, shift, step), _edge(k + 1, ray_near, ray_far, shift, step)
        slot = store_kept(packed, slot, (word >> (k % 32)) & 1, ray, start, end)
        first += BLOCK
