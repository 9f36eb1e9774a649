"""Harmonics of reflected directions on a GPU: one sample per lane, each value read once."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.reference import reflection as reference_reflection
from models.ops.triton.harmonics import harmonics_gradient, store_harmonics
from models.ops.triton.lanes import SAMPLES_BLOCK, store_vector, vector
from utils.rays import RaySamples


def reflected_harmonics(
    directions: Tensor, normal: Tensor, packed: RaySamples | None, degree: int, roughness: float
) -> Tensor:
    """As in `models.ops.reflected_harmonics`, float32; directions to be differentiated are the reference's."""
    if directions.requires_grad:
        return reference_reflection.reflected_harmonics(directions, normal, packed, degree, roughness)
    ray_indices = None if packed is None else packed.ray_indices.contiguous()
    return _Reflected.apply(normal, directions.contiguous(), ray_indices, degree, roughness)


class _Reflected(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, normal: Tensor, directions: Tensor, ray_indices: Tensor | None, degree: int, roughness: float
    ) -> Tensor:
        S = normal.shape[0]
        out = torch.empty(S, 1 + degree**2, device=normal.device)
        if S:
            _reflect[(triton.cdiv(S, SAMPLES_BLOCK),)](
                normal=normal,
                row_stride=normal.stride(0),
                column_stride=normal.stride(1),
                directions=directions,
                ray_indices=ray_indices,
                roughness=roughness,
                S=S,
                out=out,
                DEGREE=degree,
                BLOCK=SAMPLES_BLOCK,
            )
        ctx.save_for_backward(normal, directions, ray_indices)
        ctx.settings = degree, roughness
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        normal, directions, ray_indices = ctx.saved_tensors
        degree, roughness = ctx.settings
        S = normal.shape[0]
        grad_normal = torch.empty(S, 3, dtype=normal.dtype, device=normal.device)
        if S:
            _reflect_backward[(triton.cdiv(S, SAMPLES_BLOCK),)](
                normal=normal,
                row_stride=normal.stride(0),
                column_stride=normal.stride(1),
                directions=directions,
                ray_indices=ray_indices,
                roughness=roughness,
                S=S,
                grad=grad,
                grad_row=grad.stride(0),
                grad_column=grad.stride(1),
                grad_normal=grad_normal,
                DEGREE=degree,
                BLOCK=SAMPLES_BLOCK,
            )
        return grad_normal, None, None, None, None


@triton.jit
def _mirror(normal, row_stride, column_stride, directions, ray_indices, i, mask):
    """Normal, direction of view, cosine between the normal and the way back, and the reflected direction."""
    nx, ny, nz = vector(normal, i, mask, row_stride, column_stride)
    ray = i if ray_indices is None else tl.load(ray_indices + i, mask=mask, other=0)
    dx, dy, dz = vector(directions, ray, mask, 3, 1)
    towards = -(dx * nx + dy * ny + dz * nz)
    twice = 2.0 * towards
    return nx, ny, nz, dx, dy, dz, towards, dx + twice * nx, dy + twice * ny, dz + twice * nz


@triton.jit
def _reflect(
    normal,
    row_stride,
    column_stride,
    directions,
    ray_indices,
    roughness,
    S,
    out,
    DEGREE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The cosine, then the harmonics."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    exists = i < S
    mirrored = _mirror(normal, row_stride, column_stride, directions, ray_indices, i, exists)
    _, _, _, _, _, _, towards, x, y, z = mirrored
    first = out + i * (DEGREE * DEGREE + 1)
    tl.store(first, towards, mask=exists)
    store_harmonics(first + 1, exists, x, y, z, roughness, DEGREE)


@triton.jit
def _reflect_backward(
    normal,
    row_stride,
    column_stride,
    directions,
    ray_indices,
    roughness,
    S,
    grad,
    grad_row,
    grad_column,
    grad_normal,
    DEGREE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradient of the normal, through that of the reflected direction."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    exists = i < S
    mirrored = _mirror(normal, row_stride, column_stride, directions, ray_indices, i, exists)
    nx, ny, nz, dx, dy, dz, towards, x, y, z = mirrored
    first = grad + i * grad_row
    gx, gy, gz = harmonics_gradient(first + grad_column, grad_column, exists, x, y, z, roughness, DEGREE)
    along = 2.0 * (gx * nx + gy * ny + gz * nz) + tl.load(first, mask=exists, other=0.0).to(tl.float32)
    twice = 2.0 * towards
    store_vector(grad_normal, i, exists, twice * gx - along * dx, twice * gy - along * dy, twice * gz - along * dz)
