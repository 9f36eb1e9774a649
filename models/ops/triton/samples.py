"""Values of rays and of samples combined on a GPU, in one kernel each instead of a gather and a copy per part."""

from dataclasses import replace

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx

from models.ops.reference import samples as reference_samples
from models.ops.refusals import backward_of
from models.ops.triton.lanes import column_widths, joined, strided, vector
from utils.rays import Rays, RaySamples

BLOCK = 256  # samples of a program that reads points
RAY_BLOCK = 32  # samples of a ray at a time, of a program that sums over it
PASS = tl.constexpr(tl.PropagateNan.ALL)  # as torch does: a bad ray must not look like a good one
TINY = tl.constexpr(torch.finfo(torch.float32).tiny)
ELEMENTS = 4096  # of a program that concatenates columns


def clip_rays_to_box(rays: Rays, radius: float) -> Rays:
    """Bounds as in `models.ops.clip_rays_to_box`."""
    return _clipped(rays, radius, to_ball=False)


def clip_rays_to_ball(rays: Rays, radius: float) -> Rays:
    """Bounds as in `models.ops.clip_rays_to_ball`."""
    return _clipped(rays, radius, to_ball=True)


def _clipped(rays: Rays, radius: float, to_ball: bool) -> Rays:
    R = len(rays)
    near, far = torch.empty(2, R, device=rays.near.device)
    if R:
        kernel = _clip_to_ball if to_ball else _clip
        kernel[(triton.cdiv(R, BLOCK),)](
            origins=rays.origins.contiguous(),
            directions=rays.directions.contiguous(),
            old_near=rays.near.contiguous(),
            old_far=rays.far.contiguous(),
            near=near,
            far=far,
            radius=radius,
            R=R,
            BLOCK=BLOCK,
        )
    return replace(rays, near=near, far=far)


def sample_points(rays: Rays, packed: RaySamples) -> Tensor:
    """Points as in `models.ops.sample_points`."""
    return _SamplePoints.apply(rays.origins.contiguous(), rays.directions.contiguous(), packed)


class _SamplePoints(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, origins: Tensor, directions: Tensor, packed: RaySamples) -> Tensor:
        S = packed.t_starts.shape[0]
        points = packed.t_starts.new_empty(S, 3)
        if S:
            _sample_points[(triton.cdiv(S, BLOCK),)](
                origins=origins,
                directions=directions,
                t_starts=packed.t_starts,
                t_ends=packed.t_ends,
                ray_indices=packed.ray_indices,
                points=points,
                S=S,
                BLOCK=BLOCK,
            )
        ctx.packed = packed
        return points

    @staticmethod
    @backward_of("samples.sample_points")
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        wants_origins, wants_directions, _ = ctx.needs_input_grad
        origins = sum_over_rays(grad, ctx.packed) if wants_origins else None
        return origins, sum_over_rays(grad, ctx.packed, by_distance=True) if wants_directions else None, None


def sum_over_rays(values: Tensor, packed: RaySamples, by_distance: bool = False) -> Tensor:
    """(R, C) sums of values (S, C) over the samples of each ray, in an order that does not change from run to run;
    padding does not count. by_distance: each value times the middle of its interval."""
    R, C = packed.ray_start.shape[0], values.shape[1]
    sums = torch.empty(R, C, device=values.device)
    if R:
        _sum_over_rays[(R,)](
            values=values,
            row_stride=values.stride(0),
            column_stride=values.stride(1),
            t_starts=packed.t_starts if by_distance else None,
            t_ends=packed.t_ends,
            ray_start=packed.ray_start,
            ray_count=packed.ray_count,
            sums=sums,
            C=C,
            WIDTH=triton.next_power_of_2(C),
            BLOCK=RAY_BLOCK,
            num_warps=1,
        )
    return sums


def concat_columns(parts: tuple[Tensor, ...], per_ray: Tensor | None, packed: RaySamples | None) -> Tensor:
    """Columns as in `models.ops.concat_columns`."""
    if packed is None:
        return reference_samples.concat_columns(parts, per_ray, packed)
    return _ConcatColumns.apply(per_ray, packed, *parts)


class _ConcatColumns(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, per_ray: Tensor | None, packed: RaySamples, *parts: Tensor) -> Tensor:
        ray_indices, ctx.packed = packed.ray_indices, packed
        ctx.shapes, widths = [part.shape for part in parts], column_widths(parts)
        behind = 0 if per_ray is None else per_ray.shape[1]
        S, total = len(ray_indices), sum(widths) + behind
        out = torch.empty(S, total, device=ray_indices.device)
        padded = triton.next_power_of_2(total)
        if S:
            block = max(1, ELEMENTS // padded)
            _concat_columns[(triton.cdiv(S, block),)](
                parts=strided(parts),
                per_ray=None if per_ray is None else per_ray.contiguous(),
                ray_indices=ray_indices,
                out=out,
                S=S,
                widths=tuple(map(tl.constexpr, widths)),
                PER_RAY=behind,
                TOTAL=total,
                PADDED=padded,
                BLOCK=block,
            )
        return out

    @staticmethod
    @backward_of("samples.concat_columns")
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        grads, start = [], 0
        for shape in ctx.shapes:
            grads.append(grad[:, start] if len(shape) == 1 else grad[:, start : start + shape[1]])
            start += 1 if len(shape) == 1 else shape[1]
        of_rays = sum_over_rays(grad[:, start:], ctx.packed) if ctx.needs_input_grad[0] else None
        return of_rays, None, *grads


@triton.jit
def _clip(origins, directions, old_near, old_far, near, far, radius, R, BLOCK: tl.constexpr):
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = ray < R
    enter, leave = tl.load(old_near + ray, inside, other=0.0), tl.load(old_far + ray, inside, other=0.0)
    for axis in tl.static_range(3):
        origin = tl.load(origins + 3 * ray + axis, inside, other=0.0)
        direction = tl.load(directions + 3 * ray + axis, inside, other=1.0)
        inverse = 1.0 / tl.where(tl.abs(direction) < TINY, TINY, direction)
        low, high = (-radius - origin) * inverse, (radius - origin) * inverse
        enter = tl.maximum(enter, tl.minimum(low, high, PASS), PASS)
        leave = tl.minimum(leave, tl.maximum(low, high, PASS), PASS)
    tl.store(near + ray, enter, inside)
    tl.store(far + ray, leave, inside)


@triton.jit
def _clip_to_ball(origins, directions, old_near, old_far, near, far, radius, R, BLOCK: tl.constexpr):
    """Step by step as the reference, so that no camera far away loses digits."""
    ray = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = ray < R
    enter, leave = tl.load(old_near + ray, inside, other=0.0), tl.load(old_far + ray, inside, other=0.0)
    ox, oy, oz = vector(origins, ray, inside, 3, 1)
    dx, dy, dz = vector(directions, ray, inside, 3, 1)
    middle = -(ox * dx + oy * dy + oz * dz)
    x, y, z = ox + middle * dx, oy + middle * dy, oz + middle * dz
    half = tl.sqrt(tl.maximum(radius * radius - (x * x + y * y + z * z), 0.0, PASS))
    first, last = tl.maximum(enter, middle - half, PASS), tl.minimum(leave, middle + half, PASS)
    tl.store(near + ray, tl.where(last > first, first, enter), inside)
    tl.store(far + ray, tl.where(last > first, last, enter), inside)


@triton.jit
def _sample_points(origins, directions, t_starts, t_ends, ray_indices, points, S, BLOCK: tl.constexpr):
    s = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = s < S
    ray = tl.load(ray_indices + s, inside, other=0)
    mid = 0.5 * (tl.load(t_starts + s, inside, other=0.0) + tl.load(t_ends + s, inside, other=0.0))
    for axis in tl.static_range(3):
        origin = tl.load(origins + 3 * ray + axis, inside, other=0.0)
        direction = tl.load(directions + 3 * ray + axis, inside, other=0.0)
        tl.store(points + 3 * s + axis, origin + mid * direction, inside)


@triton.jit
def _sum_over_rays(
    values,
    row_stride,
    column_stride,
    t_starts,
    t_ends,
    ray_start,
    ray_count,
    sums,
    C: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One warp per ray, which takes a block of samples at a time; WIDTH is C rounded up to a power of two."""
    ray = tl.program_id(0).to(tl.int64)
    start, count = tl.load(ray_start + ray), tl.load(ray_count + ray).to(tl.int32)
    lane, channel = tl.arange(0, BLOCK), tl.arange(0, WIDTH)
    summed = tl.zeros((BLOCK, WIDTH), tl.float32)
    first = 0
    while first < count:
        i, inside = start + first + lane, first + lane < count
        cell = inside[:, None] & (channel < C)[None, :]
        value = tl.load(values + i[:, None] * row_stride + channel[None, :] * column_stride, mask=cell, other=0.0)
        if t_starts is not None:
            mid = 0.5 * (tl.load(t_starts + i, inside, other=0.0) + tl.load(t_ends + i, inside, other=0.0))
            value = value * mid[:, None]
        summed += value.to(tl.float32)
        first += BLOCK
    tl.store(sums + ray * C + channel, tl.sum(summed, 0), mask=channel < C)


@triton.jit
def _concat_columns(
    parts,
    per_ray,
    ray_indices,
    out,
    S,
    widths: tl.constexpr,
    PER_RAY: tl.constexpr,
    TOTAL: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The parts, and behind them the columns per ray, which are a part of their own with the rows of the rays."""
    s = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    columns, inside = tl.arange(0, PADDED)[None, :], (s < S)[:, None]
    tile = joined(parts, widths, s[:, None], columns, inside)
    if per_ray is not None:
        own = columns - (TOTAL - PER_RAY)
        ray = tl.load(ray_indices + s, s < S, other=0)
        mask = inside & (own >= 0) & (own < PER_RAY)
        tile += tl.load(per_ray + ray[:, None] * PER_RAY + own, mask, other=0.0).to(tl.float32)
    tl.store(out + s[:, None] * TOTAL + columns, tile, inside & (columns < TOTAL))
