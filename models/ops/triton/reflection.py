"""What a colour network reads of a surface that mirrors, on a GPU: one sample per lane, in one kernel each way.

In memory columns, not rows, lie one behind the other: the lanes of a warp write side by side, and the kernels of the
networks take either. Row by row harmonics of 2^18 directions took 49 us on an H200, ten times the time of their bytes.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.fused import MAX_OUTPUTS
from models.ops.mirrors import MirrorSpec
from models.ops.reference import reflection as reference_reflection
from models.ops.refusals import backward_of
from models.ops.triton.harmonics import column_of, harmonics, harmonics_gradient
from models.ops.triton.lanes import SAMPLES_BLOCK, store_vector, vector
from models.ops.triton.networks.tiles import num_valid
from models.ops.triton.samples import sum_over_rays
from utils.rays import RaySamples


def reflected_columns(
    feature: Tensor, normal: Tensor, directions: Tensor, packed: RaySamples | None, spec: MirrorSpec
) -> Tensor:
    """As in `models.ops.reflected_columns`; of more features than a fused network gives, the reference's."""
    if feature.shape[1] > MAX_OUTPUTS:
        return reference_reflection.reflected_columns(feature, normal, directions, packed, spec)
    return _ReflectedColumns.apply(feature, normal, directions.contiguous(), packed, spec)


class _ReflectedColumns(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        feature: Tensor,
        normal: Tensor,
        directions: Tensor,
        packed: RaySamples | None,
        spec: MirrorSpec,
    ) -> Tensor:
        S, num = len(normal), feature.shape[1] - (spec.offset is not None)
        out = torch.empty(num + 4 + spec.degree**2, S, device=normal.device).t()
        ctx.packed = packed
        ctx.settings = {"S": S, "NUM": num, "DEGREE": spec.degree, "roughness": spec.roughness, "offset": spec.offset}
        ctx.save_for_backward(feature, normal, directions)
        if S:
            _columns[(triton.cdiv(S, SAMPLES_BLOCK),)](
                **_inputs(feature, normal, directions, packed),
                **ctx.settings,
                out=out,
                out_row=out.stride(0),
                out_column=out.stride(1),
                BLOCK=SAMPLES_BLOCK,
            )
        return out

    @staticmethod
    @once_differentiable
    @backward_of("reflection.reflected_columns")
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        feature, normal, directions = ctx.saved_tensors
        (S, width), packed = feature.shape, ctx.packed
        grad_feature = torch.empty(width, S, dtype=feature.dtype, device=grad.device).t()
        grad_normal = torch.empty(S, 3, dtype=normal.dtype, device=grad.device)
        by_direction = torch.empty(S, 3, device=grad.device) if ctx.needs_input_grad[2] else None
        if S:
            _columns_backward[(triton.cdiv(S, SAMPLES_BLOCK),)](
                **_inputs(feature, normal, directions, packed),
                **ctx.settings,
                grad=grad,
                grad_row=grad.stride(0),
                grad_column=grad.stride(1),
                grad_feature=grad_feature,
                grad_normal=grad_normal,
                by_direction=by_direction,
                BLOCK=SAMPLES_BLOCK,
            )
        if by_direction is not None and packed is not None:
            by_direction = sum_over_rays(by_direction, packed)
        return grad_feature, grad_normal, by_direction, None, None


def _inputs(feature: Tensor, normal: Tensor, directions: Tensor, packed: RaySamples | None) -> dict[str, object]:
    """What both kernels read; without `packed` each sample has a direction of its own, and none is padding."""
    return {
        "feature": feature,
        "feature_row": feature.stride(0),
        "feature_column": feature.stride(1),
        "normal": normal,
        "normal_row": normal.stride(0),
        "normal_column": normal.stride(1),
        "directions": directions,
        "ray_indices": None if packed is None else packed.ray_indices.contiguous(),
        "count": None if packed is None else packed.num_samples,
    }


@triton.jit
def _lanes(S, count, BLOCK: tl.constexpr):
    """The samples of this program: their numbers, which exist, and which of those are no padding."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    return i, i < S, i < num_valid(count, S)


@triton.jit
def _mirror(normal, normal_row, normal_column, directions, ray_indices, i, mask):
    """Normal, direction of view, cosine between the normal and the way back, and the reflected direction."""
    nx, ny, nz = vector(normal, i, mask, normal_row, normal_column)
    ray = i if ray_indices is None else tl.load(ray_indices + i, mask=mask, other=0)
    dx, dy, dz = vector(directions, ray, mask, 3, 1)
    towards = -(dx * nx + dy * ny + dz * nz)
    twice = 2.0 * towards
    return nx, ny, nz, dx, dy, dz, towards, dx + twice * nx, dy + twice * ny, dz + twice * nz


@triton.jit
def _columns(
    feature,
    feature_row,
    feature_column,
    normal,
    normal_row,
    normal_column,
    directions,
    ray_indices,
    count,
    roughness,
    offset,
    S,
    out,
    out_row,
    out_column,
    NUM: tl.constexpr,
    DEGREE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Features, normal, cosine, harmonics; nothing is read of padding."""
    i, exists, used = _lanes(S, count, BLOCK)
    source, target = feature + i * feature_row, out + i * out_row
    for column in tl.static_range(NUM):
        value = tl.load(source + column * feature_column, mask=used, other=0.0)
        tl.store(target + column * out_column, value.to(tl.float32), mask=exists)
    nx, ny, nz, dx, dy, dz, towards, x, y, z = _mirror(
        normal, normal_row, normal_column, directions, ray_indices, i, used
    )
    target += NUM * out_column
    tl.store(target, nx, mask=exists)
    tl.store(target + out_column, ny, mask=exists)
    tl.store(target + 2 * out_column, nz, mask=exists)
    tl.store(target + 3 * out_column, towards, mask=exists)
    target += 4 * out_column
    mirrored = harmonics(x, y, z, roughness, DEGREE)
    if offset is not None:
        seen = harmonics(-dx, -dy, -dz, None, DEGREE)
        share = tl.sigmoid(tl.load(source + NUM * feature_column, mask=used, other=0.0).to(tl.float32) + offset)
    for index in tl.static_range(DEGREE * DEGREE):
        value = mirrored[index]
        if offset is not None:
            value = seen[index] + share * (value - seen[index])
        tl.store(target + column_of(index, DEGREE) * out_column, value, mask=exists)


@triton.jit
def _columns_backward(
    feature,
    feature_row,
    feature_column,
    normal,
    normal_row,
    normal_column,
    directions,
    ray_indices,
    count,
    roughness,
    offset,
    S,
    grad,
    grad_row,
    grad_column,
    grad_feature,
    grad_normal,
    by_direction,
    NUM: tl.constexpr,
    DEGREE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradients of features, which lie column behind column, of normals and, unless it is None, of each sample's
    direction; zero on padding."""
    i, exists, used = _lanes(S, count, BLOCK)
    source, target = grad + i * grad_row, grad_feature + i
    for column in tl.static_range(NUM):
        tl.store(target + column * S, tl.load(source + column * grad_column, mask=used, other=0.0), mask=exists)
    nx, ny, nz, dx, dy, dz, towards, x, y, z = _mirror(
        normal, normal_row, normal_column, directions, ray_indices, i, used
    )
    source += NUM * grad_column
    onx, ony, onz = vector(source, 0, used, 0, grad_column)
    by_cosine = tl.load(source + 3 * grad_column, mask=used, other=0.0).to(tl.float32)
    source += 4 * grad_column
    mirrored, gx, gy, gz = harmonics_gradient(source, grad_column, used, x, y, z, roughness, DEGREE)
    if offset is not None:
        logit = tl.load(feature + i * feature_row + NUM * feature_column, mask=used, other=0.0).to(tl.float32)
        share, rest = tl.sigmoid(logit + offset), tl.sigmoid(-logit - offset)
        seen, vx, vy, vz = harmonics_gradient(source, grad_column, used, -dx, -dy, -dz, None, DEGREE)
        tl.store(target + NUM * S, share * rest * (mirrored - seen), mask=exists)
        gx, gy, gz = share * gx, share * gy, share * gz
    along, twice = 2.0 * (gx * nx + gy * ny + gz * nz) + by_cosine, 2.0 * towards
    onx, ony, onz = onx + twice * gx - along * dx, ony + twice * gy - along * dy, onz + twice * gz - along * dz
    store_vector(grad_normal, i, exists, onx, ony, onz)
    if by_direction is not None:
        gx, gy, gz = gx - along * nx, gy - along * ny, gz - along * nz
        if offset is not None:
            gx, gy, gz = gx - rest * vx, gy - rest * vy, gz - rest * vz
        store_vector(by_direction, i, exists, gx, gy, gz)
