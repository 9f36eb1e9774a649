"""SDFs with their spatial gradient on a GPU, over encoded points, and fields together with the hash grid that encodes
these."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops import fused
from models.ops.backends import Parts
from models.ops.grid import GridSpec
from models.ops.layers import Layers, RadianceHeads
from models.ops.reference import mlp as reference_mlp
from models.ops.refusals import backward_of
from models.ops.triton import hash as grids
from models.ops.triton.networks import radiance
from models.ops.triton.networks import sdf as networks
from models.ops.triton.networks.tiles import OUTPUTS, is_supported, without_autocast
from models.ops.triton.reached import reached
from utils.rays import RaySamples


def sdf_mlp_with_gradient(
    points: Tensor, features: Tensor, jacobian: Tensor, layers: Layers
) -> tuple[Tensor, Tensor, Tensor]:
    """Distance, outputs and gradient as in `models.ops.sdf_mlp_with_gradient`, all float32."""
    if not is_supported(layers, fused.SDF_WITH_GRADIENT, features, jacobian):
        with without_autocast(features):
            return reference_mlp.sdf_mlp_with_gradient(points, features.float(), jacobian.float(), layers)
    settings = networks.constants(layers, features.shape[1])
    return _SDFWithGradient.apply(points, features, jacobian, settings, *layers.weights, *layers.biases)


class _SDFWithGradient(torch.autograd.Function):
    """First order in points, features, Jacobian and layers."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        points: Tensor,
        features: Tensor,
        jacobian: Tensor,
        settings: dict[str, Any],
        *layers: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        *found, cotangent = networks.evaluate(points, features, jacobian, layers, settings)
        ctx.settings = settings
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(points, features, jacobian, cotangent, *layers)
        return tuple(found)

    @staticmethod
    @once_differentiable
    @backward_of("mlp.sdf_mlp_with_gradient")
    def backward(ctx: FunctionCtx, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        points, features, jacobian, cotangent, *layers = ctx.saved_tensors
        grad_points, grad_features, grad_layers = networks.differentiate(
            points, features, jacobian, layers, ctx.settings, grads, ctx.needs_input_grad[:2]
        )
        grad_jacobian = None
        if ctx.needs_input_grad[2] and grads[2] is not None:
            grad_jacobian = torch.empty_like(jacobian)
            torch.mul(cotangent[..., None], grads[2][:, None], out=grad_jacobian)
        return grad_points, grad_features, grad_jacobian, None, *grad_layers


def encode_sdf(
    points: Tensor, table: Tensor, spec: GridSpec, active_levels: int | None, count: Tensor | None, layers: Layers
) -> tuple[Tensor, Tensor, Tensor]:
    """Distance, outputs and gradient as in `models.ops.encode_sdf`, all float32."""
    K = spec.output_dim
    far = max(3 * K, OUTPUTS.value) * len(points) >= 2**31  # offsets of 32 bits, as in `tiles.is_supported`
    if far or fused.grid_misfits(spec) or fused.network_misfits(layers, K, fused.SDF_WITH_GRADIENT):
        return Parts("triton").encode_sdf(points, table, spec, active_levels, count, layers)
    settings, active = networks.constants(layers, K), spec.clip_levels(active_levels)
    return _EncodedSDF.apply(points, table, count, spec, active, settings, *layers.weights, *layers.biases)


class _EncodedSDF(torch.autograd.Function):
    """First order in points, table and layers. The gradient of the Jacobian is a product of two factors, the gradient
    of the distance by the features and that of a loss by the spatial gradient: the scatter takes these.

    The Jacobian is kept as float16 where the network multiplies such: it makes the spatial gradient alone, whose other
    factor has as many bits."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        points: Tensor,
        table: Tensor,
        count: Tensor | None,
        spec: GridSpec,
        active: int,
        settings: dict[str, Any],
        *layers: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        slopes = torch.float16 if settings["FORWARD"] == "fp16" else torch.float32
        features, jacobian = grids.gather(points, table, spec, active, count, slopes)
        features, jacobian = features.t(), jacobian.permute(2, 1, 0)
        *found, cotangent = networks.evaluate(points, features, jacobian, layers, settings)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(points, count, features, jacobian, cotangent, *layers)
        ctx.spec, ctx.active, ctx.settings, ctx.table_shape = spec, active, settings, table.shape
        return tuple(found)

    @staticmethod
    @once_differentiable
    @backward_of("fields.encode_sdf")
    def backward(ctx: FunctionCtx, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        points, count, features, jacobian, cotangent, *layers = ctx.saved_tensors
        wants_points, wants_table, *_ = ctx.needs_input_grad
        grad_points, grad_features, grad_layers = networks.differentiate(
            points, features, jacobian, layers, ctx.settings, grads, (wants_points, wants_table)
        )
        grad_table = None
        if wants_table:
            slope = direction = None
            if grads[2] is not None:
                slope = (cotangent, cotangent.stride(1), cotangent.stride(0))
                direction = (grads[2], grads[2].stride(1), grads[2].stride(0))
            grad_table = grids.scatter(
                points, ctx.table_shape, ctx.spec, ctx.active, count, grad_features.t(), slope, direction
            )
        return grad_points, grad_table, None, None, None, None, *grad_layers


def encode_radiance(
    points: Tensor,
    table: Tensor,
    spec: GridSpec,
    active_levels: int | None,
    heads: RadianceHeads,
    harmonics: Tensor,
    packed: RaySamples,
) -> tuple[Tensor, Tensor]:
    """Opacity and colour as in `models.ops.encode_radiance`, float32."""
    K, H = spec.output_dim, harmonics.shape[1]
    far = max(K, OUTPUTS.value) * len(points) >= 2**31
    if far or not len(points) or fused.grid_misfits(spec) or not radiance.fits(heads, K, H):
        return Parts("triton").encode_radiance(points, table, spec, active_levels, heads, harmonics, packed)
    settings, active = radiance.constants(heads, K, H), spec.clip_levels(active_levels)
    weights = *heads.density.weights, *heads.color.weights
    return _EncodedRadiance.apply(points, table, spec, active, settings, harmonics, packed, *weights)


class _EncodedRadiance(torch.autograd.Function):
    """First order in table and weights. Features and their gradients are kept as the network multiplies them.

    The backward pass takes the samples that a gradient reaches, side by side: none reaches what compositing cuts off as
    unseen, which is most of the samples behind a surface."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        points: Tensor,
        table: Tensor,
        spec: GridSpec,
        active: int,
        settings: dict[str, Any],
        harmonics: Tensor,
        packed: RaySamples,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        kept = torch.float16 if settings["FORWARD"] == "fp16" else torch.float32
        features, _ = grids.gather(points, table, spec, active, packed.num_samples, None, kept)
        differentiated = any(ctx.needs_input_grad)
        alpha, *found = radiance.evaluate(features.t(), harmonics, weights, packed, settings, differentiated)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(points, features, harmonics, *found, *weights)
        ctx.spec, ctx.active, ctx.settings, ctx.packed, ctx.table_shape = spec, active, settings, packed, table.shape
        return alpha, found[0]

    @staticmethod
    @once_differentiable
    @backward_of("fields.encode_radiance")
    def backward(ctx: FunctionCtx, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        points, features, harmonics, *found, w1, w2, v1, v2, v3 = ctx.saved_tensors
        some, weights = reached(points, ctx.packed.num_samples, grads), (w1, w2, v1, v2, v3)
        grad_features, grad_weights = radiance.differentiate(
            features.t(), harmonics, weights, ctx.packed, ctx.settings, found, grads, (some.places, some.count)
        )
        grad_table = None
        if ctx.needs_input_grad[1]:
            shape = ctx.table_shape, ctx.spec, ctx.active
            grad_table = grids.scatter(some.points, *shape, some.count, grad_features.t(), None)
        return None, grad_table, None, None, None, None, None, *grad_weights
