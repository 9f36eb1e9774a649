"""Marching on a GPU: one warp per ray, which takes a block of intervals at a time."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.ops.packing import allocate_samples, max_intervals
from models.ops.triton.composite import composite
from utils.rays import Rays, RaySamples

__all__ = ["composite", "march"]

MARCH_BLOCK = 128  # lattice intervals of a ray at a time

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
    packed = allocate_samples(counts, capacity, jitter.dtype)
    _fill[(R,)](
        near=near,
        far=far,
        jitter=jitter,
        step=step,
        K=K,
        words=words,
        marks=marks,
        ray_start=packed.ray_start,
        ray_count=packed.ray_count,
        ray_indices=packed.ray_indices,
        t_starts=packed.t_starts,
        t_ends=packed.t_ends,
        BLOCK=MARCH_BLOCK,
        **EXACT,
    )
    return packed


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
        target = slot + tl.cumsum(keep, 0) - 1
        tl.store(ray_indices + target, tl.zeros_like(target) + ray, mask=keep == 1)
        tl.store(t_starts + target, _edge(k, ray_near, ray_far, shift, step), mask=keep == 1)
        tl.store(t_ends + target, _edge(k + 1, ray_near, ray_far, shift, step), mask=keep == 1)
        slot += tl.sum(keep, 0)
        first += BLOCK
