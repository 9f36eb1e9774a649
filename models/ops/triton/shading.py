"""Opacity of samples on a GPU: one sample per lane, each value read once."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.reference.shading import SHARPNESS
from models.ops.refusals import backward_of
from models.ops.triton.density import density_alpha
from models.ops.triton.harmonics import spherical_harmonics
from models.ops.triton.lanes import SAMPLES_BLOCK, store_vector, vector
from models.ops.triton.samples import sum_over_rays
from utils.rays import RaySamples

__all__ = ["density_alpha", "neus_alpha", "sharpness", "spherical_harmonics"]

MIN_LENGTH = tl.constexpr(1e-6)  # of a gradient; a shorter one is not stretched to a unit normal
SOFTENING = tl.constexpr(1e-5)  # of the quotient in eq. 13, as in the reference


def neus_alpha(
    sdf: Tensor, gradient: Tensor, directions: Tensor, packed: RaySamples, inv_s: Tensor, anneal: Tensor
) -> tuple[Tensor, Tensor]:
    """Opacity and normal as in `models.ops.neus_alpha`, both float32 and zero on padding."""
    return _NeusAlpha.apply(sdf, gradient, inv_s, directions.contiguous(), packed, anneal)


def sharpness(raw: Tensor) -> Tensor:
    """inv_s as in `models.ops.sharpness`."""
    return _Sharpness.apply(raw)


class _Sharpness(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, raw: Tensor) -> Tensor:
        ctx.save_for_backward(raw)
        inv_s = torch.empty_like(raw)
        _sharpness[(1,)](raw=raw, grad=None, out=inv_s, LEAST=SHARPNESS[0], MOST=SHARPNESS[1], num_warps=1)
        return inv_s

    @staticmethod
    @once_differentiable
    @backward_of("shading.sharpness")
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:
        (raw,) = ctx.saved_tensors
        grad_raw = torch.empty_like(raw)
        _sharpness[(1,)](raw=raw, grad=grad, out=grad_raw, LEAST=SHARPNESS[0], MOST=SHARPNESS[1], num_warps=1)
        return grad_raw


@triton.jit
def _sharpness(raw, grad, out, LEAST: tl.constexpr, MOST: tl.constexpr):
    """inv_s or, where one of it is given, the gradient of `raw`."""
    value = tl.exp(10.0 * tl.load(raw))
    if grad is None:
        tl.store(out, tl.where(value < LEAST, LEAST, tl.where(value > MOST, MOST, value)))
    else:
        tl.store(out, tl.where((value >= LEAST) & (value <= MOST), 10.0 * value * tl.load(grad), 0.0))


class _NeusAlpha(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        sdf: Tensor,
        gradient: Tensor,
        inv_s: Tensor,
        directions: Tensor,
        packed: RaySamples,
        anneal: Tensor,
    ) -> tuple[Tensor, Tensor]:
        S = sdf.shape[0]
        inputs = {
            "sdf": sdf,
            "gradient": gradient,
            "inv_s": inv_s,
            "directions": directions,
            "t_starts": packed.t_starts.contiguous(),
            "t_ends": packed.t_ends.contiguous(),
            "ray_indices": packed.ray_indices.contiguous(),
            "count": packed.num_samples,
            "anneal": anneal,
        }
        alpha = torch.empty(S, device=sdf.device)
        normal = torch.empty(S, 3, device=sdf.device)
        _neus_alpha[(triton.cdiv(S, SAMPLES_BLOCK),)](
            **inputs,
            sdf_stride=sdf.stride(0),
            gradient_row=gradient.stride(0),
            gradient_column=gradient.stride(1),
            S=S,
            alpha=alpha,
            normal=normal,
            BLOCK=SAMPLES_BLOCK,
        )
        ctx.names, ctx.packed = tuple(inputs), packed
        ctx.save_for_backward(*inputs.values())
        ctx.set_materialize_grads(False)
        return alpha, normal

    @staticmethod
    @once_differentiable
    @backward_of("shading.neus_alpha")
    def backward(ctx: FunctionCtx, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        sdf, gradient, inv_s = inputs["sdf"], inputs["gradient"], inputs["inv_s"]
        S, num_programs = sdf.shape[0], triton.cdiv(sdf.shape[0], SAMPLES_BLOCK)
        grad_alpha, grad_normal = grad_outputs
        grad_sdf = torch.empty(S, dtype=sdf.dtype, device=sdf.device)
        grad_gradient = torch.empty(S, 3, dtype=gradient.dtype, device=sdf.device)
        wants_directions = ctx.needs_input_grad[3] and grad_alpha is not None
        by_direction = torch.empty(S, 3, device=sdf.device) if wants_directions else None
        # of inv_s, a sum for each program: without atomics it is the same to the bit in each run
        partial = torch.empty(num_programs, device=sdf.device)
        _neus_alpha_backward[(num_programs,)](
            **inputs,
            sdf_stride=sdf.stride(0),
            gradient_row=gradient.stride(0),
            gradient_column=gradient.stride(1),
            S=S,
            grad_alpha=None if grad_alpha is None else grad_alpha.contiguous(),
            grad_normal=grad_normal,
            normal_row=None if grad_normal is None else grad_normal.stride(0),
            normal_column=None if grad_normal is None else grad_normal.stride(1),
            grad_sdf=grad_sdf,
            grad_gradient=grad_gradient,
            by_direction=by_direction,
            grad_inv_s=partial,
            BLOCK=SAMPLES_BLOCK,
        )
        grad_inv_s = partial.sum().view_as(inv_s) if ctx.needs_input_grad[2] else None
        grad_directions = sum_over_rays(by_direction, ctx.packed) if wants_directions else None
        return grad_sdf, grad_gradient, grad_inv_s, grad_directions, None, None


@triton.jit
def _relu(x):
    """max(x, 0), NaN where x is."""
    return tl.where(x < 0.0, 0.0, x)


@triton.jit
def _samples(
    sdf, gradient, directions, t_starts, t_ends, ray_indices, sdf_stride, gradient_row, gradient_column, i, mask
):
    """sdf, interval, direction, normal, and length of the gradient, at least MIN_LENGTH; of nothing where masked."""
    distance = tl.load(sdf + i * sdf_stride, mask=mask, other=0.0).to(tl.float32)
    dt = tl.load(t_ends + i, mask=mask, other=0.0) - tl.load(t_starts + i, mask=mask, other=0.0)
    dx, dy, dz = vector(directions, tl.load(ray_indices + i, mask=mask, other=0), mask, 3, 1)
    x, y, z = vector(gradient, i, mask, gradient_row, gradient_column)
    length = tl.sqrt(x * x + y * y + z * z)
    length = tl.where(length < MIN_LENGTH, MIN_LENGTH, length)
    return distance, dt, dx, dy, dz, x / length, y / length, z / length, length


@triton.jit
def _opacity(sdf, cosine, dt, inv_s, anneal):
    """Steps of `reference_shading.alpha_from_sdf`: half the fall of the SDF, the logistic function at the beginning
    and at the end of the interval, the quotient before it is clamped."""
    slope = -(_relu(0.5 - 0.5 * cosine) * (1.0 - anneal) + _relu(-cosine) * anneal)
    half = 0.5 * dt * slope
    before = tl.sigmoid((sdf - half) * inv_s)
    after = tl.sigmoid((sdf + half) * inv_s)
    return half, before, after, (before - after + SOFTENING) / (before + SOFTENING)


@triton.jit
def _neus_alpha(
    sdf,
    gradient,
    inv_s,
    directions,
    t_starts,
    t_ends,
    ray_indices,
    count,
    anneal,
    sdf_stride,
    gradient_row,
    gradient_column,
    S,
    alpha,
    normal,
    BLOCK: tl.constexpr,
):
    """Opacity and normal of a block of samples. Nothing is read of padding, and zeros are written there."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    used, exists = i < tl.load(count), i < S
    sdf, dt, dx, dy, dz, nx, ny, nz, _ = _samples(
        sdf, gradient, directions, t_starts, t_ends, ray_indices, sdf_stride, gradient_row, gradient_column, i, used
    )
    quotient = _opacity(sdf, dx * nx + dy * ny + dz * nz, dt, tl.load(inv_s), tl.load(anneal))[3]
    clamped = tl.where(quotient < 0.0, 0.0, tl.where(quotient > 1.0, 1.0, quotient))
    tl.store(alpha + i, tl.where(used, clamped, 0.0), mask=exists)
    store_vector(normal, i, exists, nx, ny, nz)


@triton.jit
def _neus_alpha_backward(
    sdf,
    gradient,
    inv_s,
    directions,
    t_starts,
    t_ends,
    ray_indices,
    count,
    anneal,
    sdf_stride,
    gradient_row,
    gradient_column,
    S,
    grad_alpha,
    grad_normal,
    normal_row,
    normal_column,
    grad_sdf,
    grad_gradient,
    by_direction,
    grad_inv_s,
    BLOCK: tl.constexpr,
):
    """Gradients of a block of samples, zero on padding, and its share of that of inv_s; no gradient is None."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    used, exists = i < tl.load(count), i < S
    distance, dt, dx, dy, dz, nx, ny, nz, length = _samples(
        sdf, gradient, directions, t_starts, t_ends, ray_indices, sdf_stride, gradient_row, gradient_column, i, used
    )
    gx, gy, gz = tl.zeros_like(nx), tl.zeros_like(nx), tl.zeros_like(nx)  # gradient of the normal
    if grad_normal is not None:
        gx, gy, gz = vector(grad_normal, i, used, normal_row, normal_column)
    by_sdf, by_inv_s = tl.zeros_like(nx), tl.zeros_like(nx)
    if grad_alpha is not None:
        sharpness, share = tl.load(inv_s), tl.load(anneal)
        cosine = dx * nx + dy * ny + dz * nz
        half, before, after, quotient = _opacity(distance, cosine, dt, sharpness, share)
        inside = used & (quotient >= 0.0) & (quotient <= 1.0)
        upstream = tl.load(grad_alpha + i, mask=inside, other=0.0) / (before + SOFTENING)
        # By the arguments of the two logistic functions.
        by_before = upstream * after / (before + SOFTENING) * before * (1.0 - before)
        by_after = -upstream * after * (1.0 - after)
        by_sdf = (by_before + by_after) * sharpness
        by_inv_s = by_before * (distance - half) + by_after * (distance + half)
        by_slope = (by_after - by_before) * sharpness * 0.5 * dt
        by_cosine = by_slope * (tl.where(cosine < 1.0, 0.5 - 0.5 * share, 0.0) + tl.where(cosine < 0.0, share, 0.0))
        if by_direction is not None:
            store_vector(by_direction, i, exists, by_cosine * nx, by_cosine * ny, by_cosine * nz)
        gx, gy, gz = gx + by_cosine * dx, gy + by_cosine * dy, gz + by_cosine * dz
    along = tl.where(length > MIN_LENGTH, gx * nx + gy * ny + gz * nz, 0.0)
    tl.store(grad_sdf + i, by_sdf, mask=exists)
    store_vector(
        grad_gradient, i, exists, (gx - along * nx) / length, (gy - along * ny) / length, (gz - along * nz) / length
    )
    tl.store(grad_inv_s + tl.program_id(0), tl.sum(by_inv_s, 0))
