"""Losses of samples on a GPU: one pass over the samples forward, one backward, whatever the number of losses."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.refusals import backward_of
from models.ops.triton.lanes import add_up, partial_sums, store_vector, vector
from models.ops.triton.ray_losses import ray_losses
from utils.rays import RaySamples

__all__ = ["ray_losses", "sample_losses"]

BLOCK = 512  # samples of a program


def sample_losses(names: tuple[str, ...], sdf: Tensor, gradient: Tensor, packed: RaySamples, scale: float) -> Tensor:
    """Means as in `models.ops.sample_losses`, float32."""
    return _SampleLosses.apply(sdf, gradient, packed.num_samples, names, scale)


class _SampleLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, sdf: Tensor, gradient: Tensor, count: Tensor, names: tuple[str, ...], scale: float
    ) -> Tensor:
        ctx.names, ctx.scale = names, scale
        grid = (triton.cdiv(len(sdf), BLOCK),)
        partial = partial_sums(grid[0], names, sdf.device)
        if grid[0]:
            _samples[grid](**_of_samples(names, sdf, gradient, count, scale), partial=partial)
        means, shares = add_up(partial)
        ctx.save_for_backward(sdf, gradient, count, shares)
        return means

    @staticmethod
    @once_differentiable
    @backward_of("losses.sample_losses")
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        sdf, gradient, count, shares = ctx.saved_tensors
        grad_sdf = sdf.new_empty(len(sdf)) if "sparsity" in ctx.names else None
        grad_gradient = gradient.new_empty(len(sdf), 3) if "eikonal" in ctx.names else None
        grid = (triton.cdiv(len(sdf), BLOCK),)
        _samples_backward[grid](
            **_of_samples(ctx.names, sdf, gradient, count, ctx.scale),
            grad=grad.contiguous(),
            shares=shares,
            grad_sdf=grad_sdf,
            grad_gradient=grad_gradient,
        )
        return grad_sdf, grad_gradient, None, None, None


def _of_samples(names: tuple[str, ...], sdf: Tensor, gradient: Tensor, count: Tensor, scale: float) -> dict[str, Any]:
    """What both kernels of samples take."""
    return {
        "sdf": sdf,
        "sdf_stride": sdf.stride(0),
        "gradient": gradient,
        "gradient_row": gradient.stride(0),
        "gradient_column": gradient.stride(1),
        "count": count,
        "scale": scale,
        "S": len(sdf),
        "NAMES": tuple(map(tl.constexpr, names)),
        "BLOCK": BLOCK,
    }


@triton.jit
def _load(sdf, sdf_stride, gradient, gradient_row, gradient_column, i, used):
    """Distance, gradient and its length of samples, zeros where they are not in use."""
    distance = tl.load(sdf + i * sdf_stride, used, other=0.0).to(tl.float32)
    x, y, z = vector(gradient, i, used, gradient_row, gradient_column)
    return distance, x, y, z, tl.sqrt(x * x + y * y + z * z)


@triton.jit
def _cost(distance, length, scale, NAME: tl.constexpr):
    """Of samples with a distance and a length of the gradient."""
    return (length - 1.0) * (length - 1.0) if NAME == "eikonal" else tl.exp(-scale * tl.abs(distance))


@triton.jit
def _samples(
    sdf,
    sdf_stride,
    gradient,
    gradient_row,
    gradient_column,
    count,
    scale,
    S,
    partial,
    NAMES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Sums and counts of a block of samples."""
    program, num = tl.program_id(0), tl.num_programs(0)
    i = program.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    used = i < tl.minimum(tl.load(count), S)
    distance, _, _, _, length = _load(sdf, sdf_stride, gradient, gradient_row, gradient_column, i, used)
    for index in tl.static_range(len(NAMES)):
        cost = _cost(distance, length, scale, NAMES[index])
        tl.store(partial + index * num + program, tl.sum(tl.where(used, cost, 0.0), 0))
        tl.store(partial + (len(NAMES) + index) * num + program, tl.sum(used.to(tl.float32), 0))


@triton.jit
def _samples_backward(
    sdf,
    sdf_stride,
    gradient,
    gradient_row,
    gradient_column,
    count,
    scale,
    S,
    grad,
    shares,
    grad_sdf,
    grad_gradient,
    NAMES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradients of a block of samples, zero on padding; that of a gradient of length 0 is 0, as torch has it."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    used = i < tl.minimum(tl.load(count), S)
    distance, x, y, z, length = _load(sdf, sdf_stride, gradient, gradient_row, gradient_column, i, used)
    for index in tl.static_range(len(NAMES)):
        weight = tl.load(grad + index) * tl.load(shares + index)
        if NAMES[index] == "eikonal":
            slope = weight * 2.0 * (length - 1.0) / tl.where(length == 0.0, 1.0, length)
            store_vector(grad_gradient, i, i < S, slope * x, slope * y, slope * z)
        else:
            sign = tl.where(distance > 0.0, 1.0, tl.where(distance < 0.0, -1.0, distance))
            slope = -scale * weight * sign * _cost(distance, length, scale, "sparsity")
            tl.store(grad_sdf + i, tl.where(used, slope, 0.0), i < S)
