"""What a colour network reads of a surface that mirrors, on a CPU: one loop over the samples, in parallel."""

import math
from functools import cache

import numpy as np
import torch
from numba import prange
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.mirrors import MirrorSpec
from models.ops.numba.kernel import FAST, kernel, scalar
from utils.rays import RaySamples


def reflected_columns(
    feature: Tensor, normal: Tensor, directions: Tensor, packed: RaySamples | None, spec: MirrorSpec
) -> Tensor:
    """Columns as in `models.ops.reflected_columns`."""
    ray = torch.arange(len(normal)) if packed is None else packed.ray_indices
    return _ReflectedColumns.apply(feature, normal, directions, ray, spec)


class _ReflectedColumns(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, feature: Tensor, normal: Tensor, directions: Tensor, ray: Tensor, spec: MirrorSpec
    ) -> Tensor:
        num = feature.shape[1] - (spec.offset is not None)
        out = normal.new_empty(len(normal), num + 4 + spec.degree**2)
        _columns(*map(_array, (feature, normal, directions, ray)), *_settings(spec), out.numpy())
        ctx.spec = spec
        ctx.save_for_backward(feature, normal, directions, ray)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        feature, normal, directions, ray = given = ctx.saved_tensors
        found = [grad.new_empty(tensor.shape) for tensor in (feature, normal, normal)]
        _columns_backward(*map(_array, given), *_settings(ctx.spec), _array(grad), *(x.numpy() for x in found))
        by_feature, by_normal, by_sample = found
        wanted = ctx.needs_input_grad[2]
        by_direction = torch.zeros_like(directions).index_add_(0, ray, by_sample) if wanted else None
        return by_feature, by_normal, by_direction, None, None


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


@cache
def _settings(spec: MirrorSpec) -> tuple[np.ndarray, np.ndarray, float, bool]:
    """Norms of harmonics by order and m as in the reference, those times the weights of the lobe, the offset of the
    share, and whether there is one."""
    norms, lobe = np.zeros((spec.degree, spec.degree)), np.zeros((spec.degree, spec.degree))
    for order in range(spec.degree):
        for m in range(order + 1):
            norm = (2 * order + 1) / (4.0 * math.pi) * math.factorial(order - m) / math.factorial(order + m)
            norms[order, m] = math.sqrt(norm if m == 0 else 2.0 * norm)
        lobe[order] = norms[order] * math.exp(-0.5 * spec.roughness * order * (order + 1))
    return norms, lobe, spec.offset or 0.0, spec.offset is not None


@scalar
def _add_harmonics(x, y, z, norms, share, out):
    """Adds a share of the harmonics of a direction: the recursion of the reference."""
    cosine, sine, sectoral = 1.0, 0.0, 1.0
    for m in range(norms.shape[0]):
        below, legendre = 0.0, sectoral
        for order in range(m, norms.shape[0]):
            value, centre = share * norms[order, m] * legendre, order * (order + 1)
            out[centre + m] += value * cosine
            if m > 0:
                out[centre - m] += value * sine
            below, legendre = legendre, ((2 * order + 1) * z * legendre - (order + m) * below) / (order + 1 - m)
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
        sectoral *= -(2 * m + 1)


@scalar
def _harmonics_gradient(x, y, z, norms, grad):
    """Sum of the harmonics of a direction times their gradients, and the gradient of the direction."""
    total, gx, gy, gz = 0.0, 0.0, 0.0, 0.0
    cosine, sine, lower_cosine, lower_sine, sectoral = 1.0, 0.0, 0.0, 0.0, 1.0  # lower: of m - 1
    for m in range(norms.shape[0]):
        below, legendre, slope_below, slope = 0.0, sectoral, 0.0, 0.0  # slope: by z
        for order in range(m, norms.shape[0]):
            centre, step = order * (order + 1), order + 1 - m
            real = norms[order, m] * grad[centre + m]
            imaginary = norms[order, m] * grad[centre - m] if m > 0 else 0.0
            turned = real * cosine + imaginary * sine
            total += legendre * turned
            gx += m * legendre * (real * lower_cosine + imaginary * lower_sine)
            gy += m * legendre * (imaginary * lower_cosine - real * lower_sine)
            gz += slope * turned
            above = ((2 * order + 1) * z * legendre - (order + m) * below) / step
            slope_above = ((2 * order + 1) * (legendre + z * slope) - (order + m) * slope_below) / step
            below, legendre, slope_below, slope = legendre, above, slope, slope_above
        lower_cosine, lower_sine = cosine, sine
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
        sectoral *= -(2 * m + 1)
    return total, gx, gy, gz


@kernel(FAST)
def _columns(feature, normal, directions, ray, norms, lobe, offset, gated, out):
    num = feature.shape[1] - 1 if gated else feature.shape[1]
    for i in prange(normal.shape[0]):
        n, d, row = normal[i], directions[ray[i]], out[i]
        towards = -(d[0] * n[0] + d[1] * n[1] + d[2] * n[2])
        twice, share = 2.0 * towards, 1.0
        row[:num], row[num : num + 3], row[num + 3], row[num + 4 :] = feature[i, :num], n, towards, 0.0
        if gated:
            share = 1.0 / (1.0 + math.exp(-feature[i, num] - offset))
            _add_harmonics(-d[0], -d[1], -d[2], norms, 1.0 - share, row[num + 4 :])
        x, y, z = d[0] + twice * n[0], d[1] + twice * n[1], d[2] + twice * n[2]
        _add_harmonics(x, y, z, lobe, share, row[num + 4 :])


@kernel(FAST)
def _columns_backward(
    feature, normal, directions, ray, norms, lobe, offset, gated, grad, by_feature, by_normal, by_direction
):
    num = feature.shape[1] - 1 if gated else feature.shape[1]
    for i in prange(normal.shape[0]):
        n, d, row = normal[i], directions[ray[i]], grad[i]
        towards = -(d[0] * n[0] + d[1] * n[1] + d[2] * n[2])
        twice, share, rest = 2.0 * towards, 1.0, 0.0
        x, y, z = d[0] + twice * n[0], d[1] + twice * n[1], d[2] + twice * n[2]
        mirrored, gx, gy, gz = _harmonics_gradient(x, y, z, lobe, row[num + 4 :])
        seen, vx, vy, vz = 0.0, 0.0, 0.0, 0.0
        by_feature[i, :num] = row[:num]
        if gated:
            share = 1.0 / (1.0 + math.exp(-feature[i, num] - offset))
            rest = 1.0 - share
            seen, vx, vy, vz = _harmonics_gradient(-d[0], -d[1], -d[2], norms, row[num + 4 :])
            by_feature[i, num] = share * rest * (mirrored - seen)
        along = 2.0 * share * (gx * n[0] + gy * n[1] + gz * n[2]) + row[num + 3]
        by_normal[i, 0] = row[num] + twice * share * gx - along * d[0]
        by_normal[i, 1] = row[num + 1] + twice * share * gy - along * d[1]
        by_normal[i, 2] = row[num + 2] + twice * share * gz - along * d[2]
        by_direction[i, 0] = share * gx - along * n[0] - rest * vx
        by_direction[i, 1] = share * gy - along * n[1] - rest * vy
        by_direction[i, 2] = share * gz - along * n[2] - rest * vz
