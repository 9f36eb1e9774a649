"""Marching and compositing on a CPU: one loop per ray, parallel over rays."""

import numpy as np
import torch
from numba import prange
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.numba.kernel import kernel, scalar
from models.ops.packing import allocate_samples, max_intervals
from utils.rays import Rays, RaySamples

_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)


def march(rays: Rays, occupied: Tensor, radius: float, step: float, jitter: Tensor, capacity: int | None) -> RaySamples:
    """Intervals in occupied cells as in `models.ops.march`: rays are walked twice, to count and to fill."""
    G = occupied.shape[0]
    scene = (
        *(_array(x) for x in (rays.origins, rays.directions, rays.near, rays.far, jitter, occupied)),
        np.float32(step),
        np.float32(0.5 * G / radius),
        max_intervals(radius, step),
    )
    counts = torch.empty(len(rays), dtype=torch.int64)
    _count(*scene, counts.numpy())
    packed = allocate_samples(counts, capacity, jitter.dtype)
    room = packed.ray_start, packed.ray_count, packed.ray_indices, packed.t_starts, packed.t_ends
    _fill(*scene, *(part.numpy() for part in room))
    return packed


def composite(alpha: Tensor, values: tuple[Tensor, ...], packed: RaySamples, faint: float = 0.0) -> tuple[Tensor, ...]:
    """Weights, opacity, distance and sums as in `models.ops.composite`."""
    columns = [part[:, None] if part.ndim == 1 else part for part in (packed.t_mids, *values)]
    weights, opacity, sums = _Composite.apply(alpha, torch.cat(columns, dim=1), packed, faint)
    distance, *parts = sums.split([column.shape[1] for column in columns], dim=1)
    parts = [part.view(-1, *value.shape[1:]) for part, value in zip(parts, values, strict=True)]
    return weights, opacity, distance[:, 0], *parts


class _Composite(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, alpha: Tensor, values: Tensor, packed: RaySamples, faint: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        R = packed.ray_start.shape[0]
        weights = torch.zeros_like(alpha, memory_format=torch.contiguous_format)
        opacity, accumulated = alpha.new_empty(R), values.new_zeros(R, values.shape[1])
        segments = _array(packed.ray_start), _array(packed.ray_count)
        _composite(_array(alpha), _array(values), *segments, *map(_array, (weights, opacity, accumulated)))
        ctx.save_for_backward(alpha, values, weights, packed.ray_start, packed.ray_count)
        ctx.faint = faint
        return weights, opacity, accumulated

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        alpha, values = ctx.saved_tensors[:2]
        grad_alpha = torch.zeros_like(alpha, memory_format=torch.contiguous_format)
        grad_values = torch.zeros_like(values, memory_format=torch.contiguous_format)
        _composite_backward(*map(_array, (*ctx.saved_tensors, *grad_outputs, grad_alpha, grad_values)), ctx.faint)
        return grad_alpha, grad_values, None, None


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


@scalar
def _edge(k: int, near: np.float32, far: np.float32, shift: np.float32, step: np.float32) -> np.float32:
    """Where lattice interval k begins; the arithmetic of the reference, operation by operation."""
    return min(max(near + (np.float32(k) + shift) * step, near), far)


@scalar
def _cell(p: np.float32, cells_per_unit: np.float32, half: np.float32, last: np.float32) -> np.float32:
    """Index of the cell that holds one coordinate, NaN in the first."""
    position = p * cells_per_unit + half
    position = position if position > _ZERO else _ZERO
    return np.floor(position if position < last else last)


@scalar
def _exit(cell: np.float32, o: np.float32, d: np.float32, cells_per_unit: np.float32, half: np.float32) -> np.float32:
    """Distance at which a ray leaves a cell along one axis."""
    if d == _ZERO:
        return np.float32(np.inf)
    side = cell + _ONE if d > _ZERO else cell
    return ((side - half) / cells_per_unit - o) / d


@scalar
def _next(k, origin, direction, near, far, shift, occupied, step, cells_per_unit, K):
    """The first lattice interval from k on that is kept, or K."""
    half, last = np.float32(occupied.shape[0]) * _HALF, np.float32(occupied.shape[0] - 1)
    while k < K:
        start, end = _edge(k, near, far, shift, step), _edge(k + 1, near, far, shift, step)
        if not start < far:
            return K
        if not end > start:
            k += 1
            continue
        mid = _HALF * (start + end)
        x = _cell(origin[0] + direction[0] * mid, cells_per_unit, half, last)
        y = _cell(origin[1] + direction[1] * mid, cells_per_unit, half, last)
        z = _cell(origin[2] + direction[2] * mid, cells_per_unit, half, last)
        if occupied[int(x), int(y), int(z)]:
            return k
        leave = min(
            _exit(x, origin[0], direction[0], cells_per_unit, half),
            _exit(y, origin[1], direction[1], cells_per_unit, half),
            _exit(z, origin[2], direction[2], cells_per_unit, half),
        )
        # To the first interval whose middle lies beyond this cell, short of it by what rounding may have added.
        ahead = np.ceil((leave - near) / step - shift - _HALF - np.float32(0.01))
        k = max(k + 1, int(min(ahead, np.float32(K))) if ahead > _ZERO else 0)
    return K


@kernel()
def _count(origins, directions, near, far, jitter, occupied, step, cells_per_unit, K, counts):
    for ray in prange(origins.shape[0]):
        origin, direction, shift = origins[ray], directions[ray], jitter[ray] - _ONE
        count = 0
        k = _next(0, origin, direction, near[ray], far[ray], shift, occupied, step, cells_per_unit, K)
        while k < K:
            count += 1
            k = _next(k + 1, origin, direction, near[ray], far[ray], shift, occupied, step, cells_per_unit, K)
        counts[ray] = count


@kernel()
def _fill(
    origins,
    directions,
    near,
    far,
    jitter,
    occupied,
    step,
    cells_per_unit,
    K,
    ray_start,
    ray_count,
    ray_indices,
    t_starts,
    t_ends,
):
    for ray in prange(origins.shape[0]):
        origin, direction, shift = origins[ray], directions[ray], jitter[ray] - _ONE
        k = -1
        for slot in range(ray_start[ray], ray_start[ray] + ray_count[ray]):
            k = _next(k + 1, origin, direction, near[ray], far[ray], shift, occupied, step, cells_per_unit, K)
            ray_indices[slot] = ray
            t_starts[slot] = _edge(k, near[ray], far[ray], shift, step)
            t_ends[slot] = _edge(k + 1, near[ray], far[ray], shift, step)


@kernel()
def _composite(alpha, values, ray_start, ray_count, weights, opacity, accumulated):
    for ray in prange(ray_start.shape[0]):
        transmittance, total = 1.0, 0.0
        for i in range(ray_start[ray], ray_start[ray] + ray_count[ray]):
            weight = transmittance * alpha[i]
            weights[i] = weight
            total += weight
            for c in range(values.shape[1]):
                accumulated[ray, c] += np.float32(weight) * values[i, c]
            transmittance *= 1.0 - alpha[i]
        opacity[ray] = total


@kernel()
def _composite_backward(
    alpha,
    values,
    weights,
    ray_start,
    ray_count,
    grad_weights,
    grad_opacity,
    grad_accumulated,
    grad_alpha,
    grad_values,
    faint,
):
    for ray in prange(ray_start.shape[0]):
        start, end = ray_start[ray], ray_start[ray] + ray_count[ray]
        transmittance = 1.0
        for i in range(start, end):
            grad_alpha[i] = transmittance
            transmittance *= 1.0 - alpha[i]
        # `behind` is what the samples further back give per unit of light that reaches them; without a division by
        # 1 - alpha the gradient is exact at alpha = 1.
        behind = 0.0
        for i in range(end - 1, start - 1, -1):
            gain = np.float64(grad_weights[i]) + grad_opacity[ray]
            seen = 1.0 if grad_alpha[i] >= faint else 0.0
            for c in range(values.shape[1]):
                gain += grad_accumulated[ray, c] * values[i, c]
                grad_values[i, c] = seen * weights[i] * grad_accumulated[ray, c]
            grad_alpha[i] *= seen * (gain - behind)
            behind = alpha[i] * gain + (1.0 - alpha[i]) * behind
