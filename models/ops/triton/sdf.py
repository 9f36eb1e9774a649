"""The network head of an SDF on a GPU: outputs with their spatial gradient, and the backward pass of both."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops.layers import Layers
from models.ops.reference import mlp as reference_mlp
from models.ops.triton.tiles import (
    BACKWARD,
    BETA,
    FORWARD,
    OUTPUTS,
    activate,
    fits,
    kinds,
    launch,
    linear,
    load_tile,
    multiply,
    multiply_add,
    output_layer,
    partial_gradients,
    sizes,
    store_tile,
    sum_gradients,
    unscaled,
    upright,
)


def _planes(jacobian: Tensor | None) -> tuple | None:
    return None if jacobian is None else tuple(upright(plane) for plane in jacobian.unbind(-1))


def sdf_mlp_with_gradient(
    points: Tensor, features: Tensor, jacobian: Tensor, layers: Layers
) -> tuple[Tensor, Tensor, Tensor]:
    """Distance, outputs and gradient as in `models.ops.sdf_head`, all float32."""
    if not fits(layers, 1, (0, 3), features, jacobian):
        with unscaled(features):
            return reference_mlp.sdf_mlp_with_gradient(points, features.float(), jacobian.float(), layers)
    options = layers.smooth, layers.half
    return _SDFHead.apply(points, features, jacobian, *options, *layers.weights, *layers.biases)


class _SDFHead(torch.autograd.Function):
    """First order in features, Jacobian and layers; the backward pass computes the hidden layer again."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        points: Tensor,
        features: Tensor,
        jacobian: Tensor,
        smooth: bool,
        half: bool,
        *layers: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        points, layers = points.float().contiguous(), [None if t is None else t.contiguous() for t in layers]
        S, K = features.shape
        room = sizes(K, layers[:2])
        ctx.sizes = room | {"EXTRA": layers[0].shape[1] - K, "SMOOTH": smooth} | kinds(half, room)
        sdf, value, gradient = points.new_empty(S), points.new_empty(S, ctx.sizes["D"]), points.new_empty(S, 3)
        inputs = points, upright(features), _planes(jacobian), tuple(layers)
        options = launch(FORWARD, ctx.sizes["HIDDEN"])
        _forward[(triton.cdiv(S, options["BLOCK"]),)](
            inputs, (sdf, upright(value), gradient), S, **ctx.sizes, **options
        )
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(points, features, jacobian, *layers)
        return sdf, value, gradient

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_sdf: Tensor | None, grad_value: Tensor | None, grad_gradient: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        points, features, jacobian, *layers = ctx.saved_tensors
        S = features.shape[0]
        grad_sdf = None if grad_sdf is None else grad_sdf.contiguous()
        _, wants_features, wants_jacobian, *_ = ctx.needs_input_grad
        grad_features = torch.empty_like(features) if wants_features else None
        grad_jacobian = torch.empty_like(jacobian) if wants_jacobian and grad_gradient is not None else None
        partial = partial_gradients(S, layers)
        inputs = points, upright(features), _planes(jacobian), tuple(layers)
        grads = grad_sdf, upright(grad_value), upright(grad_gradient)
        results = upright(grad_features), _planes(grad_jacobian), partial
        options = launch(BACKWARD, ctx.sizes["HIDDEN"])
        _backward[(partial.shape[0],)](inputs, grads, results, S, partial.shape[1], **ctx.sizes, **options)
        return None, grad_features, grad_jacobian, None, None, *sum_gradients(partial, layers)


@triton.jit
def _hidden_layer(
    points,
    x,
    w1,
    w1_tile,
    b1,
    samples,
    S,
    EXTRA: tl.constexpr,
    K: tl.constexpr,
    SMOOTH: tl.constexpr,
    KIND: tl.constexpr,
):
    """Activation and slope (HIDDEN, BLOCK); the position, which carries most of an SDF, enters in full float32."""
    units, pre = tl.arange(0, w1_tile.shape[0]), linear(x, w1_tile, b1, KIND)
    for axis in tl.static_range(EXTRA):
        position = 2.0 * tl.load(points + samples * 3 + axis, mask=samples < S, other=0.0) - 1.0
        pre += tl.load(w1 + units * (EXTRA + K) + axis)[:, None] * position[None, :]
    return activate(pre, SMOOTH)


@triton.jit
def _forward(
    inputs,
    results,
    S,
    K: tl.constexpr,
    INPUTS: tl.constexpr,
    HIDDEN: tl.constexpr,
    D: tl.constexpr,
    EXTRA: tl.constexpr,
    SMOOTH: tl.constexpr,
    FORWARD: tl.constexpr,
    BACKWARD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    points, features, jacobian, layers = inputs
    sdf, value, gradient = results
    w1, w2, b1, b2 = layers
    units, columns, samples = tl.arange(0, HIDDEN), tl.arange(0, INPUTS), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    w1_tile = load_tile((w1 + EXTRA, EXTRA + K, 1), units, columns, HIDDEN, K)
    x = load_tile(features, columns, samples, K, S)
    hidden, slope = _hidden_layer(points, x, w1, w1_tile, b1, samples, S, EXTRA, K, SMOOTH, FORWARD)
    tile, outputs = output_layer(hidden, w2, b2, D, HIDDEN, FORWARD), tl.arange(0, OUTPUTS)
    store_tile(value, tile, outputs, samples, D, S)
    store_tile((sdf, 0, 1), tile, outputs, samples, 1, S)

    weighted = slope * tl.load(w2 + units)[:, None]
    cotangent = multiply(tl.trans(w1_tile), weighted, FORWARD)
    for axis in tl.static_range(3):
        component = tl.sum(cotangent * load_tile(jacobian[axis], columns, samples, K, S), 0)
        if EXTRA:
            component += 2.0 * tl.sum(weighted * tl.load(w1 + units * (EXTRA + K) + axis)[:, None], 0)
        tl.store(gradient + samples * 3 + axis, component, mask=samples < S)


@triton.jit
def _to_outputs(grad_sdf, grad_value, samples, D, S):
    """What the outputs (OUTPUTS, BLOCK) receive, the distance both as such and as output 0."""
    outputs = tl.arange(0, OUTPUTS)
    g = tl.zeros((OUTPUTS, samples.shape[0]), tl.float32)
    if grad_value is not None:
        g += load_tile(grad_value, outputs, samples, D, S)
    if grad_sdf is not None:
        g += load_tile((grad_sdf, 0, 1), outputs, samples, 1, S)
    return g


@triton.jit
def _through_gradient(jacobian, grad, grad_jacobian, weighted, w1_tile, w1_position, samples, S, K, KIND: tl.constexpr):
    """What the cotangents of features (INPUTS, BLOCK) and position (OUTPUTS, BLOCK) and the weighted slopes
    (HIDDEN, BLOCK) receive from the gradient's (3, BLOCK); writes what the Jacobian receives."""
    columns = tl.arange(0, w1_tile.shape[1])
    cotangent = multiply(tl.trans(w1_tile), weighted, KIND)
    to_features = tl.zeros_like(cotangent)
    for axis in tl.static_range(3):
        g = tl.load(grad[0] + axis * grad[1] + samples * grad[2], mask=samples < S, other=0.0)[None, :]
        to_features += g * load_tile(jacobian[axis], columns, samples, K, S)
        if grad_jacobian is not None:
            store_tile(grad_jacobian[axis], g * cotangent, columns, samples, K, S)
    to_position = 2.0 * load_tile(grad, tl.arange(0, OUTPUTS), samples, 3, S)
    to_weighted = multiply(w1_tile, to_features, KIND)
    to_weighted = multiply_add(w1_position, to_position, to_weighted, KIND)
    return to_features, to_position, to_weighted


@triton.jit
def _store_sums(row, sum_w1, sum_position, sum_w2, sum_sdf, sum_b2, K, D, EXTRA, BIAS: tl.constexpr):
    """Writes what one program added up, in the order of the layers."""
    HIDDEN: tl.constexpr = sum_w1.shape[0]
    units, outputs = tl.arange(0, HIDDEN), tl.arange(0, OUTPUTS)
    store_tile((row + EXTRA, EXTRA + K, 1), sum_w1, units, tl.arange(0, sum_w1.shape[1]), HIDDEN, K)
    store_tile((row, EXTRA + K, 1), sum_position, units, outputs, HIDDEN, EXTRA)
    row += HIDDEN * (EXTRA + K)
    sum_w2 += tl.where(outputs[None, :] == 0, sum_sdf[:, None], 0.0)
    store_tile((row, 1, HIDDEN), sum_w2, units, outputs, HIDDEN, D)
    row += D * HIDDEN
    if BIAS:
        tl.store(row + units, tl.sum(tl.where(outputs[None, :] == 3, sum_position, 0.0), 1))
        tl.store(row + HIDDEN + outputs, sum_b2, mask=outputs < D)


@triton.jit
def _backward(
    inputs,
    grads,
    results,
    S,
    total,
    K: tl.constexpr,
    INPUTS: tl.constexpr,
    HIDDEN: tl.constexpr,
    D: tl.constexpr,
    EXTRA: tl.constexpr,
    SMOOTH: tl.constexpr,
    FORWARD: tl.constexpr,
    BACKWARD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Samples beyond the end are zeros with zero gradients, so they add exactly nothing to any sum."""
    points, features, jacobian, layers = inputs
    grad_sdf, grad_value, grad_gradient = grads
    grad_features, grad_jacobian, partial = results
    w1, w2, b1, _ = layers
    units, columns, outputs = tl.arange(0, HIDDEN), tl.arange(0, INPUTS), tl.arange(0, OUTPUTS)
    w1_tile = load_tile((w1 + EXTRA, EXTRA + K, 1), units, columns, HIDDEN, K)
    w1_position = load_tile((w1, EXTRA + K, 1), units, outputs, HIDDEN, EXTRA)
    w2_tile, w_sdf = load_tile((w2, 1, HIDDEN), units, outputs, HIDDEN, D), tl.load(w2 + units)[:, None]
    sum_w1, sum_position = tl.zeros((HIDDEN, INPUTS), tl.float32), tl.zeros((HIDDEN, OUTPUTS), tl.float32)
    sum_w2, sum_b2 = tl.zeros((HIDDEN, OUTPUTS), tl.float32), tl.zeros((OUTPUTS,), tl.float32)
    sum_sdf = tl.zeros((HIDDEN,), tl.float32)
    start = tl.program_id(0) * BLOCK
    while start < S:
        samples = start + tl.arange(0, BLOCK)
        x = load_tile(features, columns, samples, K, S)
        hidden, slope = _hidden_layer(points, x, w1, w1_tile, b1, samples, S, EXTRA, K, SMOOTH, FORWARD)
        g = _to_outputs(grad_sdf, grad_value, samples, D, S)
        sum_w2 = multiply_add(hidden, tl.trans(g), sum_w2, BACKWARD)
        sum_b2 += tl.sum(g, 1)
        grad_pre = slope * multiply(w2_tile, g, BACKWARD)
        if grad_gradient is not None:
            weighted = slope * w_sdf
            to_features, to_position, to_weighted = _through_gradient(
                jacobian, grad_gradient, grad_jacobian, weighted, w1_tile, w1_position, samples, S, K, BACKWARD
            )
            sum_w1 = multiply_add(weighted, tl.trans(to_features), sum_w1, BACKWARD)
            sum_position = multiply_add(weighted, tl.trans(to_position), sum_position, BACKWARD)
            sum_sdf += tl.sum(slope * to_weighted, 1)
            if SMOOTH:
                grad_pre += to_weighted * w_sdf * (slope * (1.0 - slope) * BETA)
        sum_w1 = multiply_add(grad_pre, tl.trans(x), sum_w1, BACKWARD)
        # The bias counts as an input of 1 behind the position.
        position = 2.0 * load_tile((points, 1, 3), outputs, samples, 3, S) - 1.0
        position = tl.where(outputs[:, None] < 3, position, 1.0)
        sum_position = multiply_add(grad_pre, tl.trans(position), sum_position, BACKWARD)
        if grad_features is not None:
            grad_x = multiply(tl.trans(w1_tile), grad_pre, BACKWARD)
            store_tile(grad_features, grad_x, columns, samples, K, S)
        start += tl.num_programs(0) * BLOCK
    row = partial + tl.program_id(0) * total
    _store_sums(row, sum_w1, sum_position, sum_w2, sum_sdf, sum_b2, K, D, EXTRA, b1 is not None)
