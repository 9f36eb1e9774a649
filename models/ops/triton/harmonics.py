"""Harmonics of directions on a GPU: one direction per lane."""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.refusals import backward_of
from models.ops.triton.lanes import SAMPLES_BLOCK, store_vector, vector


def spherical_harmonics(directions: Tensor, degree: int) -> Tensor:
    """Harmonics as in `models.ops.spherical_harmonics`, float32."""
    return _Harmonics.apply(directions, degree)


class _Harmonics(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, directions: Tensor, degree: int) -> Tensor:
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
        ctx.save_for_backward(directions)
        ctx.degree = degree
        return basis

    @staticmethod
    @once_differentiable
    @backward_of("shading.spherical_harmonics")
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, None]:
        (directions,) = ctx.saved_tensors
        S = directions.shape[0]
        grad_directions = torch.empty(S, 3, dtype=directions.dtype, device=directions.device)
        _harmonics_backward[(triton.cdiv(S, SAMPLES_BLOCK),)](
            directions=directions,
            row_stride=directions.stride(0),
            column_stride=directions.stride(1),
            S=S,
            grad=grad,
            grad_row=grad.stride(0),
            grad_column=grad.stride(1),
            grad_directions=grad_directions,
            DEGREE=ctx.degree,
            BLOCK=SAMPLES_BLOCK,
        )
        return grad_directions, None


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
    found = harmonics(x, y, z, None, DEGREE)
    for index in tl.static_range(DEGREE * DEGREE):
        tl.store(basis + i * (DEGREE * DEGREE) + column_of(index, DEGREE), found[index], mask=exists)


@triton.jit
def weight_of_lobe(order: tl.constexpr, roughness):
    """What a lobe leaves of the harmonics of an order; None: all."""
    return 1.0 if roughness is None else tl.exp(-0.5 * order * (order + 1) * roughness)


@triton.constexpr_function
def column_of(index: int, degree: int) -> int:
    """The column that entry `index` of what `harmonics` returns belongs to."""
    pairs = [(order, m) for m in range(degree) for order in range(m, degree)]
    return [order * (order + 1) + side * m for order, m in pairs for side in ((1, -1) if m else (1,))][index]


@triton.jit
def harmonics(x, y, z, roughness, DEGREE: tl.constexpr):
    """The recursion of `reference_shading.spherical_harmonics`, unrolled; each order has the weight of a lobe of some
    roughness. A tuple of DEGREE^2 (BLOCK,), in the order of the recursion: see `column_of`."""
    found = ()
    sine = tl.zeros_like(x)
    cosine, sectoral = sine + 1.0, sine + 1.0
    for m in tl.static_range(DEGREE):
        below, legendre = tl.zeros_like(x), sectoral
        for order in tl.static_range(m, DEGREE):
            scaled = factor(order, m) * weight_of_lobe(order, roughness) * legendre
            if m == 0:
                found += (scaled,)
            else:
                found += (scaled * cosine, scaled * sine)
            step = order + 1 - m  # a constant, as is what it divides
            above = ((2 * order + 1) / step) * z * legendre - ((order + m) / step) * below
            below, legendre = legendre, above
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
        sectoral *= -(2 * m + 1)
    return found


@triton.jit
def _harmonics_backward(
    directions,
    row_stride,
    column_stride,
    S,
    grad,
    grad_row,
    grad_column,
    grad_directions,
    DEGREE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    exists = i < S
    x, y, z = vector(directions, i, exists, row_stride, column_stride)
    _, gx, gy, gz = harmonics_gradient(grad + i * grad_row, grad_column, exists, x, y, z, None, DEGREE)
    store_vector(grad_directions, i, exists, gx, gy, gz)


@triton.jit
def harmonics_gradient(first, column_stride, exists, x, y, z, roughness, DEGREE: tl.constexpr):
    """Sum of the harmonics times their gradients, which begin at first (BLOCK,), and the gradient of the directions by
    the derivatives of `harmonics`. Of (x + iy)^m the derivative by x is m (x + iy)^(m-1), by y that times i."""
    total = tl.zeros_like(x)
    gx, gy, gz = tl.zeros_like(x), tl.zeros_like(x), tl.zeros_like(x)
    cosine, sine = tl.zeros_like(x) + 1.0, tl.zeros_like(x)
    lower_cosine, lower_sine = tl.zeros_like(x), tl.zeros_like(x)  # of m - 1
    sectoral = tl.zeros_like(x) + 1.0
    for m in tl.static_range(DEGREE):
        below, legendre = tl.zeros_like(x), sectoral
        slope_below, slope = tl.zeros_like(x), tl.zeros_like(x)  # by z
        for order in tl.static_range(m, DEGREE):
            column = first + order * (order + 1) * column_stride
            weight = factor(order, m) * weight_of_lobe(order, roughness)
            if m == 0:
                real = weight * tl.load(column, mask=exists, other=0.0).to(tl.float32)
                total += legendre * real
                gz += slope * real
            else:
                real = weight * tl.load(column + m * column_stride, mask=exists, other=0.0).to(tl.float32)
                imaginary = weight * tl.load(column - m * column_stride, mask=exists, other=0.0).to(tl.float32)
                gx += m * legendre * (real * lower_cosine + imaginary * lower_sine)
                gy += m * legendre * (imaginary * lower_cosine - real * lower_sine)
                turned = real * cosine + imaginary * sine
                total += legendre * turned
                gz += slope * turned
            step = order + 1 - m
            above = ((2 * order + 1) / step) * z * legendre - ((order + m) / step) * below
            slope_above = ((2 * order + 1) / step) * (legendre + z * slope) - ((order + m) / step) * slope_below
            below, legendre, slope_below, slope = legendre, above, slope, slope_above
        lower_cosine, lower_sine = cosine, sine
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
        sectoral *= -(2 * m + 1)
    return total, gx, gy, gz
