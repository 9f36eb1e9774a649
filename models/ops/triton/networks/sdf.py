"""The network of an SDF on a GPU: outputs with the spatial gradient of the distance, and the backward pass of both."""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.ops.cards import card_of
from models.ops.layers import Layers
from models.ops.triton.networks.gradient import planes, spatial_gradient
from models.ops.triton.networks.tiles import (
    BETA,
    OUTPUTS,
    activate,
    launch_options,
    linear,
    load_tile,
    multiply,
    multiply_add,
    operand_precision,
    output_layer,
    partial_gradients,
    store_tile,
    store_to_inputs,
    sum_gradients,
    tile_shape,
    transposed,
)


def constants(layers: Layers, num_features: int) -> dict[str, Any]:
    """What the kernels are compiled for."""
    shape = tile_shape(num_features, layers.weights)
    types = operand_precision(card_of(layers.weights[0].device), layers.allow_fp16, shape)
    shape |= {name: types[name] for name in ("FORWARD", "BACKWARD")}
    return shape | {"EXTRA": layers.weights[0].shape[1] - num_features, "SOFTPLUS": layers.softplus}


def evaluate(
    points: Tensor, features: Tensor, jacobian: Tensor, layers: Sequence[Tensor | None], settings: dict[str, Any]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distance, outputs, gradient, and (S, K) the gradient of the distance by the features; layers: weights, then
    biases."""
    points, S, extra = points.float().contiguous(), len(points), settings["EXTRA"]
    sdf, value = points.new_empty(S), points.new_empty(S, settings["D"])
    cotangent = points.new_empty(extra + settings["K"], S)
    options = launch_options(card_of(points.device).tiles.forward, settings["HIDDEN"])
    _forward[(triton.cdiv(S, options["BLOCK"]),)](
        points=points,
        features=transposed(features),
        layers=_contiguous(layers),
        sdf=sdf,
        value=transposed(value),
        cotangent=cotangent,
        S=S,
        **settings,
        **options,
    )
    gradient = spatial_gradient(cotangent, jacobian, extra)
    return sdf, value, gradient, cotangent[extra:].t()


def differentiate(
    points: Tensor,
    features: Tensor,
    jacobian: Tensor,
    layers: Sequence[Tensor | None],
    settings: dict[str, Any],
    grads: Sequence[Tensor | None],
    wanted: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, list[Tensor | None]]:
    """Gradients of points, features and layers from those of distance, outputs and gradient; the hidden layer is
    computed again. That of the Jacobian is a product: the gradient of the distance by the features, as `evaluate`
    returns it, times the gradient of the spatial gradient.

    wanted: whether those of points and features are."""
    points, (grad_sdf, grad_value, grad_gradient) = points.float().contiguous(), grads
    grad_points = torch.empty_like(points) if wanted[0] else None
    grad_features = torch.empty_like(features) if wanted[1] else None
    partial = partial_gradients(len(points), layers)
    _backward[(partial.shape[0],)](
        points=points,
        features=transposed(features),
        jacobian=planes(jacobian),
        layers=_contiguous(layers),
        grad_sdf=None if grad_sdf is None else grad_sdf.contiguous(),
        grad_value=transposed(grad_value),
        grad_gradient=transposed(grad_gradient),
        grad_points=grad_points,
        grad_features=transposed(grad_features),
        partial=partial,
        total=partial.shape[1],
        S=len(points),
        **settings,
        **launch_options(card_of(points.device).tiles.backward, settings["HIDDEN"]),
    )
    return grad_points, grad_features, sum_gradients(partial, layers)


def _contiguous(layers: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    return tuple(None if layer is None else layer.contiguous() for layer in layers)


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
    SOFTPLUS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Activation and slope (HIDDEN, BLOCK); the position, which carries most of an SDF, enters in full float32."""
    units, pre = tl.arange(0, w1_tile.shape[0]), linear(x, w1_tile, b1, PRECISION)
    for axis in tl.static_range(EXTRA):
        position = 2.0 * tl.load(points + samples * 3 + axis, mask=samples < S, other=0.0) - 1.0
        pre += tl.load(w1 + units * (EXTRA + K) + axis)[:, None] * position[None, :]
    return activate(pre, SOFTPLUS)


@triton.jit
def _forward(
    points,
    features,
    layers,
    sdf,
    value,
    cotangent,
    S,
    K: tl.constexpr,
    INPUTS: tl.constexpr,
    HIDDEN: tl.constexpr,
    D: tl.constexpr,
    EXTRA: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    FORWARD: tl.constexpr,
    BACKWARD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Outputs, and d sdf / d input (EXTRA + K, S), positions first. Products of matrices, not sums over units or
    features: these pass between the warps through the shared memory."""
    w1, w2, b1, b2 = layers
    units, columns, samples = tl.arange(0, HIDDEN), tl.arange(0, INPUTS), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    outputs = tl.arange(0, OUTPUTS)
    w1_tile = load_tile((w1 + EXTRA, EXTRA + K, 1), units, columns, HIDDEN, K)
    x = load_tile(features, columns, samples, K, S)
    hidden, slope = _hidden_layer(points, x, w1, w1_tile, b1, samples, S, EXTRA, K, SOFTPLUS, FORWARD)
    tile = output_layer(hidden, w2, b2, D, HIDDEN, FORWARD)
    store_tile(value, tile, outputs, samples, D, S)
    store_tile((sdf, 0, 1), tile, outputs, samples, 1, S)

    weighted = slope * tl.load(w2 + units)[:, None]
    if EXTRA:
        w1_position = load_tile((w1, EXTRA + K, 1), units, outputs, HIDDEN, EXTRA)
        store_tile((cotangent, S, 1), multiply(tl.trans(w1_position), weighted, FORWARD), outputs, samples, EXTRA, S)
    to_features = multiply(tl.trans(w1_tile), weighted, FORWARD)
    store_tile((cotangent + EXTRA * S, S, 1), to_features, columns, samples, K, S)


@triton.jit
def _to_outputs(grad_sdf, grad_value, samples, D, S):
    """Gradient of the outputs (OUTPUTS, BLOCK); the distance receives one as such and one as output 0."""
    outputs = tl.arange(0, OUTPUTS)
    g = tl.zeros((OUTPUTS, samples.shape[0]), tl.float32)
    if grad_value is not None:
        g += load_tile(grad_value, outputs, samples, D, S)
    if grad_sdf is not None:
        g += load_tile((grad_sdf, 0, 1), outputs, samples, 1, S)
    return g


@triton.jit
def _through_gradient(jacobian, grad, w1_tile, w1_position, samples, S, K, PRECISION: tl.constexpr):
    """What the gradient of the spatial gradient (3, BLOCK) passes on to the cotangents of features (INPUTS, BLOCK) and
    position (OUTPUTS, BLOCK), and to the weighted slopes (HIDDEN, BLOCK)."""
    columns = tl.arange(0, w1_tile.shape[1])
    to_features = tl.zeros((w1_tile.shape[1], samples.shape[0]), tl.float32)
    for axis in tl.static_range(3):
        g = tl.load(grad[0] + axis * grad[1] + samples * grad[2], mask=samples < S, other=0.0)[None, :]
        to_features += g * load_tile(jacobian[axis], columns, samples, K, S)
    to_position = 2.0 * load_tile(grad, tl.arange(0, OUTPUTS), samples, 3, S)
    to_weighted = multiply(w1_tile, to_features, PRECISION)
    to_weighted = multiply_add(w1_position, to_position, to_weighted, PRECISION)
    return to_features, to_position, to_weighted


@triton.jit
def _store_sums(row, sum_w1, sum_position, sum_w2, sum_sdf, sum_b2, K, D, EXTRA, BIAS: tl.constexpr):
    """Writes the sums of one program, in the order of the layers."""
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
    points,
    features,
    jacobian,
    layers,
    grad_sdf,
    grad_value,
    grad_gradient,
    grad_points,
    grad_features,
    partial,
    total,
    S,
    K: tl.constexpr,
    INPUTS: tl.constexpr,
    HIDDEN: tl.constexpr,
    D: tl.constexpr,
    EXTRA: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    FORWARD: tl.constexpr,
    BACKWARD: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Samples beyond the end are zeros with zero gradients, so they add exactly nothing to any sum."""
    w1, w2, b1, _ = layers
    units, columns, outputs = tl.arange(0, HIDDEN), tl.arange(0, INPUTS), tl.arange(0, OUTPUTS)
    w1_tile = load_tile((w1 + EXTRA, EXTRA + K, 1), units, columns, HIDDEN, K)
    w1_position = load_tile((w1, EXTRA + K, 1), units, outputs, HIDDEN, EXTRA)
    w2_tile, w_sdf = load_tile((w2, 1, HIDDEN), units, outputs, HIDDEN, D), tl.load(w2 + units)[:, None]
    sum_w1, sum_position = tl.zeros((HIDDEN, INPUTS), tl.float32), tl.zeros((HIDDEN, OUTPUTS), tl.float32)
    sum_w2, sum_b2 = tl.zeros((HIDDEN, OUTPUTS), tl.float32), tl.zeros((OUTPUTS,), tl.float32)
    sum_sdf, start = tl.zeros((HIDDEN,), tl.float32), tl.program_id(0) * BLOCK
    while start < S:
        samples = start + tl.arange(0, BLOCK)
        x = load_tile(features, columns, samples, K, S)
        hidden, slope = _hidden_layer(points, x, w1, w1_tile, b1, samples, S, EXTRA, K, SOFTPLUS, FORWARD)
        g = _to_outputs(grad_sdf, grad_value, samples, D, S)
        sum_w2 = multiply_add(hidden, tl.trans(g), sum_w2, BACKWARD)
        sum_b2 += tl.sum(g, 1)
        grad_pre = slope * multiply(w2_tile, g, BACKWARD)
        if grad_gradient is not None:
            weighted = slope * w_sdf
            to_features, to_position, to_weighted = _through_gradient(
                jacobian, grad_gradient, w1_tile, w1_position, samples, S, K, BACKWARD
            )
            sum_w1 = multiply_add(weighted, tl.trans(to_features), sum_w1, BACKWARD)
            sum_position = multiply_add(weighted, tl.trans(to_position), sum_position, BACKWARD)
            sum_sdf += tl.sum(slope * to_weighted, 1)
            if SOFTPLUS:
                grad_pre += to_weighted * w_sdf * (slope * (1.0 - slope) * BETA)
        sum_w1 = multiply_add(grad_pre, tl.trans(x), sum_w1, BACKWARD)
        position = 2.0 * load_tile((points, 1, 3), outputs, samples, 3, S) - 1.0
        position = tl.where(outputs[:, None] < 3, position, 1.0)  # the bias counts as an input of 1 behind it
        sum_position = multiply_add(grad_pre, tl.trans(position), sum_position, BACKWARD)
        if (grad_features is not None) or (grad_points is not None):
            grad_x = multiply(tl.trans(w1_tile), grad_pre, BACKWARD)
            store_to_inputs(grad_features, grad_points, grad_x, grad_pre, jacobian, w1, samples, S, EXTRA, K)
        start += tl.num_programs(0) * BLOCK
    row = partial + tl.program_id(0) * total
    _store_sums(row, sum_w1, sum_position, sum_w2, sum_sdf, sum_b2, K, D, EXTRA, b1 is not None)
