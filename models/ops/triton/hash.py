"""The hash grid on a GPU: value and Jacobian in one gather, the gradient of both in one scatter.

Tensors are feature-major, so that a warp reads and writes neighbouring points of one feature. Two features of an entry
travel as one word. There is no copy of the table in half precision: where the table fits the cache of the GPU, making
the copy costs more than reading it saves."""

from functools import lru_cache

import torch
import triton
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.backends import INTERPRETING
from models.ops.cards import adds_pairs
from models.ops.fused import grid_misfits
from models.ops.grid import GridSpec
from models.ops.reference import hash as reference_hash
from models.ops.refusals import backward_of
from models.ops.triton import hash_kernels as kernels

FORWARD = {"BLOCK": 256, "num_warps": 4}
# Pairs of lanes, and points in a row that each of them takes. Warps must not have more lanes: what a spare one repeats
# would be added twice.
BACKWARD = {"BLOCK": 64, "RUN": 8, "num_warps": 4}


def hash_encode(
    points: Tensor, table: Tensor, spec: GridSpec, active_levels: int | None, count: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Features and Jacobian as in `models.ops.hash_encode`."""
    if grid_misfits(spec):
        return reference_hash.hash_encode(points, table, spec, active_levels, count)
    features, jacobian = _HashEncode.apply(points, table, spec, spec.clip_levels(active_levels), count, True)
    return features.t(), jacobian.permute(2, 1, 0)


def hash_features(
    points: Tensor, table: Tensor, spec: GridSpec, active_levels: int | None, count: Tensor | None = None
) -> Tensor:
    """Features as in `models.ops.hash_features`."""
    if grid_misfits(spec):
        return reference_hash.hash_features(points, table, spec, active_levels, count)
    return _HashEncode.apply(points, table, spec, spec.clip_levels(active_levels), count, False)[0].t()


class _HashEncode(torch.autograd.Function):
    """Features (L*F, S) and Jacobian (3, L*F, S), first order in the table."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        points: Tensor,
        table: Tensor,
        spec: GridSpec,
        active: int,
        count: Tensor | None,
        with_jacobian: bool,
    ) -> tuple[Tensor, Tensor | None]:
        features, jacobian = gather(points, table, spec, active, count, torch.float32 if with_jacobian else None)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(points, *([count] if count is not None else []))
        ctx.spec, ctx.active, ctx.table_shape = spec, active, table.shape
        return features, jacobian

    @staticmethod
    @once_differentiable
    @backward_of("hash.hash_encode", "hash.hash_features")
    def backward(
        ctx: FunctionCtx, grad_features: Tensor | None, grad_jacobian: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        points, *count = ctx.saved_tensors
        count = count[0] if count else None
        slope = None
        if grad_jacobian is not None:
            slope = (grad_jacobian, *(grad_jacobian.stride(axis) for axis in (1, 2, 0)))
        grad_table = scatter(points, ctx.table_shape, ctx.spec, ctx.active, count, grad_features, slope)
        return None, grad_table, None, None, None, None


def gather(
    points: Tensor,
    table: Tensor,
    spec: GridSpec,
    active: int,
    count: Tensor | None,
    slopes: torch.dtype | None,
    kept: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor | None]:
    """Features (L*F, S), kept in that type, and, in that of slopes, Jacobian (3, L*F, S), or None; zero for points from
    `count` on."""
    points = points.contiguous()
    words = table.detach().contiguous().view(torch.int64)
    S, LF = points.shape[0], spec.output_dim
    create = points.new_empty if active == spec.num_levels else points.new_zeros
    features, jacobian = create(LF, S, dtype=kept), None if slopes is None else create(3, LF, S, dtype=slopes)
    if S and active:
        scales, layouts = _levels(spec, points.device)
        kernels.gather_kernel[(triton.cdiv(S, FORWARD["BLOCK"]), active)](
            points=points,
            words=words,
            scales=scales,
            layouts=layouts,
            features=features,
            jacobian=jacobian,
            count=points if count is None else count,
            S=S,
            LF=LF,
            PAIRS=spec.features_per_level // 2,
            COUNTED=count is not None,
            **FORWARD,
        )
    return features, jacobian


def scatter(
    points: Tensor,
    table_shape: torch.Size,
    spec: GridSpec,
    active: int,
    count: Tensor | None,
    grad_features: Tensor | None,
    slope: tuple | None,
    direction: tuple | None = None,
) -> Tensor:
    """Gradient of the table from those of features (L*F, S) and of the Jacobian; either may be None.

    slope: that of the Jacobian with its strides of features, points and axes; or, with a direction (S, 3) and its
    strides of axes and points, a factor (L*F, S) with its strides: then their product is that of the Jacobian."""
    points = points.contiguous()
    grad_table = points.new_zeros(table_shape)
    S = points.shape[0]
    if S and active and (grad_features is not None or slope is not None):
        scales, layouts = _levels(spec, points.device)
        pairs = spec.features_per_level // 2
        kernels.scatter_kernel[(triton.cdiv(S, BACKWARD["BLOCK"] * BACKWARD["RUN"]), active * pairs)](
            points=points,
            value=None if grad_features is None else (grad_features, *grad_features.stride()),
            slope=slope,
            direction=direction,
            scales=scales,
            layouts=layouts,
            grad_table=grad_table,
            count=points if count is None else count,
            S=S,
            PAIRS=pairs,
            COUNTED=count is not None,
            PACKED=not INTERPRETING and adds_pairs(points.device),
            **BACKWARD,
        )
    return grad_table


@lru_cache(maxsize=16)
def _levels(spec: GridSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """Scales (L,) float32 and (L, 4) int32: resolution, offset, size, dense."""
    rows = [(level.resolution, level.offset, level.size, int(level.dense)) for level in spec.levels]
    scales = torch.tensor([level.scale for level in spec.levels], dtype=torch.float32, device=device)
    return scales, torch.tensor(rows, dtype=torch.int32, device=device)
