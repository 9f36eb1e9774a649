"""The hash grid on a CPU: value and Jacobian in one gather, the gradient of both in one scatter."""

from functools import lru_cache

import numpy as np
import torch
from numba import get_num_threads, prange
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.grid import PRIMES, GridSpec
from models.ops.numba.kernel import FAST, kernel, scalar

_PRIME_Y, _PRIME_Z = np.uint32(PRIMES[1]), np.uint32(PRIMES[2])
_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
_BLOCK = 512  # points of a parallel task: a level of a block stays in the L2 cache


def hash_encode(
    points: Tensor, table: Tensor, spec: GridSpec, active_levels: int | None, count: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Features and Jacobian as in `models.ops.hash_encode`, padding included."""
    features, jacobian = _HashEncode.apply(points, table, spec, spec.clip_levels(active_levels), True)
    return features, jacobian.transpose(1, 2)


def hash_features(
    points: Tensor, table: Tensor, spec: GridSpec, active_levels: int | None, count: Tensor | None = None
) -> Tensor:
    """Features as in `models.ops.hash_features`, padding included."""
    return _HashEncode.apply(points, table, spec, spec.clip_levels(active_levels), False)[0]


class _HashEncode(torch.autograd.Function):
    """First order in the table; the Jacobian is (S, 3, L*F), the layout in which its contraction is fastest."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, points: Tensor, table: Tensor, spec: GridSpec, active: int, with_jacobian: bool
    ) -> tuple[Tensor, Tensor | None]:
        features, jacobian = evaluate(points, table, spec, active, with_jacobian)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(points)
        ctx.spec, ctx.active, ctx.table_shape = spec, active, table.shape
        return features, jacobian if with_jacobian else None

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_features: Tensor | None, grad_jacobian: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        (points,) = ctx.saved_tensors
        grad_table = differentiate(points, grad_features, grad_jacobian, ctx.spec, ctx.active, ctx.table_shape)
        return None, grad_table, None, None, None


def evaluate(points: Tensor, table: Tensor, spec: GridSpec, active: int, with_jacobian: bool) -> tuple[Tensor, Tensor]:
    """Features (S, L*F) of points (S, 3), and their Jacobian (S, 3, L*F), which is empty if it is not asked for."""
    points, table = points.contiguous(), table.contiguous()
    create = table.new_empty if active == spec.num_levels else table.new_zeros
    features = create(points.shape[0], spec.output_dim)
    jacobian = create(points.shape[0] if with_jacobian else 0, 3, spec.output_dim)
    _forward(_array(points), _array(table), *_levels(spec), active, with_jacobian, _array(features), _array(jacobian))
    return features, jacobian


def differentiate(
    points: Tensor,
    grad_features: Tensor | None,
    grad_jacobian: Tensor | None,
    spec: GridSpec,
    active: int,
    shape: torch.Size,
) -> Tensor:
    """The gradient of the table from those of what `evaluate` returned, None being 0."""
    with_jacobian = grad_jacobian is not None
    if grad_features is None:
        grad_features = points.new_zeros(points.shape[0], spec.output_dim)
    if grad_jacobian is None:
        grad_jacobian = points.new_empty(0, 3, spec.output_dim)
    grad_table = points.new_empty(shape)
    arrays = _array(points), _array(grad_features), _array(grad_jacobian)
    _backward(*arrays, *_levels(spec), active, with_jacobian, get_num_threads(), _array(grad_table))
    return grad_table


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


@lru_cache(maxsize=16)
def _levels(spec: GridSpec) -> tuple[np.ndarray, np.ndarray]:
    """Scales (L,) float32 and (L, 4) int64: resolution, offset, size, dense."""
    rows = [(level.resolution, level.offset, level.size, int(level.dense)) for level in spec.levels]
    return np.array([level.scale for level in spec.levels], np.float32), np.array(rows, np.int64)


@scalar
def _locate(x: np.float32, scale: np.float32) -> tuple:
    """Cell, fraction within it and slope of one coordinate; NaN lands in the first cell."""
    inside = x if x > _ZERO else _ZERO
    inside = inside if inside < _ONE else _ONE
    position = inside * scale + _HALF
    cell = np.uint32(position)
    return cell, position - np.float32(cell), scale if x == inside else _ZERO


@scalar
def _axis_terms(x: int, y: int, z: int, layout: np.ndarray) -> tuple:
    """What the low and the high side of each axis add to an index."""
    if layout[3]:
        rows = np.uint32(layout[0])
        x0, y0, z0 = x, np.uint32(y * rows), np.uint32(np.uint32(z * rows) * rows)
        return x0, np.uint32(x0 + 1), y0, np.uint32(y0 + rows), z0, np.uint32(z0 + np.uint32(rows * rows))
    y0, z0 = np.uint32(y * _PRIME_Y), np.uint32(z * _PRIME_Z)
    return x, np.uint32(x + 1), y0, np.uint32(y0 + _PRIME_Y), z0, np.uint32(z0 + _PRIME_Z)


@scalar
def _row(x: int, y: int, z: int, layout: np.ndarray) -> int:
    """Row of the table for one corner, unsigned, so that Numba does not ask whether to count from the end; a dense
    level wraps at its end, as the reference does."""
    size = layout[2]
    if layout[3]:
        index = np.int64(x) + np.int64(y) + np.int64(z)
        return np.uint64(layout[1] + (index - size if index >= size else index))
    return np.uint64(layout[1] + (np.int64(x ^ y ^ z) & (size - 1)))


@scalar
def _rows(x: int, y: int, z: int, layout: np.ndarray) -> tuple:
    """Rows of the 8 corners of a cell, x fastest."""
    x0, x1, y0, y1, z0, z1 = _axis_terms(x, y, z, layout)
    return (
        _row(x0, y0, z0, layout),
        _row(x1, y0, z0, layout),
        _row(x0, y1, z0, layout),
        _row(x1, y1, z0, layout),
        _row(x0, y0, z1, layout),
        _row(x1, y0, z1, layout),
        _row(x0, y1, z1, layout),
        _row(x1, y1, z1, layout),
    )


@scalar
def _interpolated(table, rows, f, fx, fy, fz):
    """Feature f between the 8 corners of a cell, and its slopes along the axes of the lattice."""
    r0, r1, r2, r3, r4, r5, r6, r7 = rows
    a0, a1, a2, a3 = table[r0, f], table[r2, f], table[r4, f], table[r6, f]
    d0, d1, d2, d3 = table[r1, f] - a0, table[r3, f] - a1, table[r5, f] - a2, table[r7, f] - a3
    b0, b2 = a0 + fx * d0, a2 + fx * d2
    e0, e1 = a1 + fx * d1 - b0, a3 + fx * d3 - b2
    c0 = b0 + fy * e0
    g0 = b2 + fy * e1 - c0
    h0, h1 = d0 + fy * (d1 - d0), d2 + fy * (d3 - d2)
    return c0 + fz * g0, h0 + fz * (h1 - h0), e0 + fz * (e1 - e0), g0


@kernel(FAST)
def _forward(points, table, scales, layouts, active, with_jacobian, features, jacobian):
    num_points, num_features = points.shape[0], table.shape[1]
    for block in prange((num_points + _BLOCK - 1) // _BLOCK):
        for level in range(active):
            scale, layout = scales[level], layouts[level]
            for s in range(block * _BLOCK, min(num_points, (block + 1) * _BLOCK)):
                x, fx, sx = _locate(points[s, 0], scale)
                y, fy, sy = _locate(points[s, 1], scale)
                z, fz, sz = _locate(points[s, 2], scale)
                rows = _rows(x, y, z, layout)
                for first in range(0, num_features, 2):  # two at a time, since they lie side by side
                    for f in (first, min(first + 1, num_features - 1)):
                        k = level * num_features + f
                        value, by_x, by_y, by_z = _interpolated(table, rows, f, fx, fy, fz)
                        features[s, k] = value
                        if with_jacobian:
                            jacobian[s, 0, k], jacobian[s, 1, k], jacobian[s, 2, k] = sx * by_x, sy * by_y, sz * by_z


@kernel(FAST)
def _backward(points, grad_features, grad_jacobian, scales, layouts, active, with_jacobian, num_tasks, grad_table):
    num_features = grad_table.shape[1]
    for task in prange(num_tasks):
        # The tables of the levels are disjoint: no atomics, and one order of summation whatever the threads do.
        for level in range(task, len(scales), num_tasks):
            scale, layout = scales[level], layouts[level]
            grad_table[layout[1] : layout[1] + layout[2]] = _ZERO
            if level >= active:
                continue
            for s in range(points.shape[0]):
                x, fx, sx = _locate(points[s, 0], scale)
                y, fy, sy = _locate(points[s, 1], scale)
                z, fz, sz = _locate(points[s, 2], scale)
                r0, r1, r2, r3, r4, r5, r6, r7 = _rows(x, y, z, layout)
                for f in range(num_features):
                    k = level * num_features + f
                    # The forward read backwards: first z is undone, then y, then x.
                    c1 = grad_features[s, k] * fz
                    c0 = grad_features[s, k] - c1
                    e0, e1, h0, h1 = _ZERO, _ZERO, _ZERO, _ZERO
                    if with_jacobian:
                        gx, gy, gz = (
                            sx * grad_jacobian[s, 0, k],
                            sy * grad_jacobian[s, 1, k],
                            sz * grad_jacobian[s, 2, k],
                        )
                        c0, c1 = c0 - gz, c1 + gz
                        e1, h1 = gy * fz, gx * fz
                        e0, h0 = gy - e1, gx - h1
                    b1, b3 = c0 * fy + e0, c1 * fy + e1
                    b0, b2 = c0 - b1, c1 - b3
                    d1, d3 = b1 * fx + h0 * fy, b3 * fx + h1 * fy
                    d0, d2 = b0 * fx + h0 - h0 * fy, b2 * fx + h1 - h1 * fy
                    grad_table[r0, f] += b0 - d0
                    grad_table[r1, f] += d0
                    grad_table[r2, f] += b1 - d1
                    grad_table[r3, f] += d1
                    grad_table[r4, f] += b2 - d2
                    grad_table[r5, f] += d2
                    grad_table[r6, f] += b3 - d3
                    grad_table[r7, f] += d3
