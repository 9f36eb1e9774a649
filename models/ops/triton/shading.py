"""Opacity of samples and directional harmonics on a GPU: one sample per lane, each value read once."""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.reference import shading as reference_shading
from models.ops.triton.density import density_alpha
from utils.rays import RaySamples

__all__ = ["density_alpha", "neus_alpha", "spherical_harmonics"]

SAMPLES_BLOCK = 128  # of one program, a lane each: with more, loads and stores would differ in layout
MIN_LENGTH = tl.constexpr(1e-6)  # of a gradient; a shorter one is not stretched to a unit normal
SOFTENING = tl.constexpr(1e-5)  # of the quotient in eq. 13, as in the reference


def neus_alpha(
    sdf: Tensor, gradient: Tensor, directions: Tensor, packed: RaySamples, inv_s: Tensor, anneal: Tensor
) -> tuple[Tensor, Tensor]:
    """Opacity and normal as in `models.ops.neus_alpha`, both float32 and zero on padding."""
    return _NeusAlpha.apply(sdf, gradient, inv_s, directions.contiguous(), packed, anneal)


def spherical_harmonics(directions: Tensor, degree: int) -> Tensor:
    """Harmonics as in `models.ops.spherical_harmonics`, float32; those to be differentiated are the reference's."""
    if directions.requires_grad:
        return reference_shading.spherical_harmonics(directions, degree)
    S = directions.shape[0]
    basis = torch.empty(S, degree**2, device=directions.device)
    _harmonics[(triton.cdiv(S, SAMPLES_BLOCK),)](
        directions=directions,
        row_stride=directions.stride(0),
        column_stride=directions.stride(1),
        S=S,
        basis=basis,
        DEGREE=degree,
        BLOCK=SAMPLES_BLOCK,
    )
    return basis


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
        ctx.names = tuple(inputs)
        ctx.save_for_backward(*inputs.values())
        ctx.set_materialize_grads(False)
        return alpha, normal

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        sdf, gradient, inv_s = inputs["sdf"], inputs["gradient"], inputs["inv_s"]
        S, num_programs = sdf.shape[0], triton.cdiv(sdf.shape[0], SAMPLES_BLOCK)
        grad_alpha, grad_normal = (None if grad is None else grad.contiguous() for grad in grad_outputs)
        grad_sdf = torch.empty(S, dtype=sdf.dtype, device=sdf.device)
        grad_gradient = torch.empty(S, 3, dtype=gradient.dtype, device=sdf.device)
        # of inv_s, a sum for each program: without atomics it is the same to the bit in each run
        partial = torch.empty(num_programs, device=sdf.device)
        _neus_alpha_backward[(num_programs,)](
            **inputs,
            sdf_stride=sdf.stride(0),
            gradient_row=gradient.stride(0),
            gradient_column=gradient.stride(1),
            S=S,
            grad_alpha=grad_alpha,
            grad_normal=grad_normal,
            grad_sdf=grad_sdf,
            grad_gradient=grad_gradient,
            grad_inv_s=partial,
            BLOCK=SAMPLES_BLOCK,
        )
        grad_inv_s = partial.sum().view_as(inv_s) if ctx.needs_input_grad[2] else None
        return grad_sdf, grad_gradient, grad_inv_s, None, None, None


@triton.jit
def vector(pointer, row, mask, row_stride, column_stride):
    """The three components of rows (BLOCK,) of a matrix, zero where masked."""
    x = pointer + row * row_stride
    y = x + column_stride
    z = y + column_stride
    return (
        tl.load(x, mask=mask, other=0.0).to(tl.float32),
        tl.load(y, mask=mask, other=0.0).to(tl.float32),
        tl.load(z, mask=mask, other=0.0).to(tl.float32),
    )


@triton.jit
def store_vector(pointer, row, mask, x, y, z):
    """Writes rows (BLOCK,) of a contiguous (., 3)."""
    tl.store(pointer + row * 3, x, mask=mask)
    tl.store(pointer + row * 3 + 1, y, mask=mask)
    tl.store(pointer + row * 3 + 2, z, mask=mask)


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
    grad_sdf,
    grad_gradient,
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
        gx, gy, gz = vector(grad_normal, i, used, 3, 1)
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
        gx, gy, gz = gx + by_cosine * dx, gy + by_cosine * dy, gz + by_cosine * dz
    along = tl.where(length > MIN_LENGTH, gx * nx + gy * ny + gz * nz, 0.0)
    tl.store(grad_sdf + i, by_sdf, mask=exists)
    store_vector(
        grad_gradient, i, exists, (gx - along * nx) / length, (gy - along * ny) / length, (gz - along * nz) / length
    )
    tl.store(grad_inv_s + tl.program_id(0), tl.sum(by_inv_s, 0))


@triton.constexpr_function
def factor(order: int, m: int) -> float:
    """Norm of the harmonics of an order and +-m, as in the reference."""
    norm = (2 * order + 1) / (4.0 * math.pi) * math.factorial(order - m) / math.factorial(order + m)
    return math.sqrt(norm if m == 0 else 2.0 * norm)


@triton.jit
def _harmonics(directions, row_stride, column_stride, S, basis, DEGREE: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    exists = i < S
    x, y, z = vector(directions, i, exists, row_stride, column_stride)
    store_harmonics(basis + i * (DEGREE * DEGREE), exists, x, y, z, None, DEGREE)


@triton.jit
def weight_of_lobe(order: tl.constexpr, roughness):
    """What a lobe leaves of the harmonics of an order; None: all."""
    return 1.0 if roughness is None else tl.exp(-0.5 * order * (order + 1) * roughness)


@triton.jit
def store_harmonics(first, exists, x, y, z, roughness, DEGREE: tl.constexpr):
    """The recursion of `reference_shading.spherical_harmonics`, unrolled; one column after the other is written.

    first: (BLOCK,) where those of each direction begin; each order has the weight of a lobe of some roughness."""
    sine = tl.zeros_like(x)
    cosine, sectoral = sine + 1.0, sine + 1.0
    for m in tl.static_range(DEGREE):
        below, legendre = tl.zeros_like(x), sectoral
        for order in tl.static_range(m, DEGREE):
            column = first + order * (order + 1)
            scaled = factor(order, m) * weight_of_lobe(order, roughness) * legendre
            if m == 0:
                tl.store(column, scaled, mask=exists)
            else:
                tl.store(column + m, scaled * cosine, mask=exists)
                tl.store(column - m, scaled * sine, mask=exists)
            step = order + 1 - m  # a constant, as is what it divides
            above = ((2 * order + 1) / step) * z * legendre - ((order + m) / step) * below
            below, legendre = legendre, above
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
        sectoral *= -(2 * m + 1)
