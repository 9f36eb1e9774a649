"""The network head of an SDF on a GPU: outputs with their spatial gradient, and the backward pass of both.

Tiles stand upright, samples side by side, so that the tensor cores take activations and their gradients from where
they left them. Tiles, activation and output layer serve `triton_mlp` too."""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops import reference_mlp
from models.ops.layers import SOFTPLUS_BETA, Layers

BLOCK = 32  # samples at once; with more the tiles of a backward pass do not fit the registers
PROGRAMS = 264  # of a backward pass: two per multiprocessor of an H200, each sums its blocks in registers
WIDTHS = (16, 32, 64, 128)  # of a hidden layer
MOST_INPUTS = 64
OUTPUTS = tl.constexpr(16)  # room for the outputs, as tensor cores need it
_BETA = tl.constexpr(SOFTPLUS_BETA)


def fits(layers: Layers, most_hidden: int, extras: tuple[int, ...], *inputs: Tensor) -> bool:
    """Whether the fused kernels can compute a network over (S, K, ...) inputs, with so many `extras` in front."""
    S, K = inputs[0].shape[:2]
    widths = [weight.shape[0] for weight in layers.weights]
    reach = max(sum((n - 1) * stride for n, stride in zip(t.shape, t.stride(), strict=True)) for t in inputs)
    return (
        2 <= len(widths) <= 1 + most_hidden
        and len(set(widths[:-1])) == 1
        and widths[0] in WIDTHS
        and widths[-1] <= OUTPUTS.value
        and 1 <= K <= MOST_INPUTS
        and layers.weights[0].shape[1] - K in extras
        and len({bias is None for bias in layers.biases}) == 1
        and all(weight.dtype == torch.float32 for weight in layers.weights)
        and max(reach, S * OUTPUTS.value) < 2**31  # offsets of 32 bits, for want of registers
    )


def sizes(num_inputs: int, weights: Sequence[Tensor]) -> dict[str, int]:
    """What all kernels are compiled for: K inputs padded to INPUTS, HIDDEN units, D outputs."""
    hidden, padded = weights[0].shape[0], max(16, triton.next_power_of_2(num_inputs))
    shape = {"K": num_inputs, "INPUTS": padded, "HIDDEN": hidden, "D": weights[-1].shape[0]}
    return shape | {"BLOCK": BLOCK, "num_warps": max(4, hidden // 16)}


def partial_gradients(num_samples: int, layers: Sequence[Tensor | None]) -> Tensor:
    """Room (P, total) for what each of P programs of a backward pass adds up: the gradients of `layers` in turn."""
    num_programs = max(1, min(triton.cdiv(num_samples, BLOCK), PROGRAMS))
    return layers[0].new_empty(num_programs, sum(tensor.numel() for tensor in layers if tensor is not None))


def sum_gradients(partial: Tensor, layers: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The gradients of `layers` from those of the programs, in an order that does not change from run to run."""
    parts = iter(partial.sum(0).split([tensor.numel() for tensor in layers if tensor is not None]))
    return [None if tensor is None else next(parts).view_as(tensor) for tensor in layers]


def upright(tensor: Tensor | None) -> tuple | None:
    """An (S, K) tensor as the kernels take it: (K, S) with its strides, however it lies in memory."""
    return None if tensor is None else (tensor, tensor.stride(1), tensor.stride(0))


def _planes(jacobian: Tensor | None) -> tuple | None:
    return None if jacobian is None else tuple(upright(plane) for plane in jacobian.unbind(-1))


def sdf_head(points: Tensor, features: Tensor, jacobian: Tensor, layers: Layers) -> tuple[Tensor, Tensor]:
    """Outputs and gradient as in `models.ops.sdf_head`, both float32."""
    if not fits(layers, 1, (0, 3), features, jacobian):
        return reference_mlp.sdf_head(points, features, jacobian, layers)
    return _SDFHead.apply(points, features, jacobian, layers.smooth, *layers.weights, *layers.biases)


class _SDFHead(torch.autograd.Function):
    """First order in features, Jacobian and layers; the backward pass computes the hidden layer again."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, points: Tensor, features: Tensor, jacobian: Tensor, smooth: bool, *layers: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        points, layers = points.float().contiguous(), [None if t is None else t.contiguous() for t in layers]
        S, K = features.shape
        ctx.sizes = sizes(K, layers[:2]) | {"EXTRA": layers[0].shape[1] - K, "SMOOTH": smooth}
        value, gradient = points.new_empty(S, ctx.sizes["D"]), points.new_empty(S, 3)
        inputs = points, upright(features), _planes(jacobian), tuple(layers)
        _forward[(triton.cdiv(S, BLOCK),)](inputs, (upright(value), gradient), S, **ctx.sizes)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(points, features, jacobian, *layers)
        return value, gradient

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_value: Tensor | None, grad_gradient: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        points, features, jacobian, *layers = ctx.saved_tensors
        S = features.shape[0]
        if grad_value is None:
            grad_value = points.new_zeros(1, 1).expand(S, ctx.sizes["D"])
        _, wants_features, wants_jacobian, *_ = ctx.needs_input_grad
        grad_features = torch.empty_like(features) if wants_features else None
        grad_jacobian = torch.empty_like(jacobian) if wants_jacobian and grad_gradient is not None else None
        partial = partial_gradients(S, layers)
        inputs = points, upright(features), _planes(jacobian), tuple(layers)
        grads = upright(grad_value), upright(grad_gradient)
        results = upright(grad_features), _planes(grad_jacobian), partial
        _backward[(partial.shape[0],)](inputs, grads, results, S, partial.shape[1], **ctx.sizes)
        return None, grad_features, grad_jacobian, None, *sum_gradients(partial, layers)


@triton.jit
def load_tile(matrix, rows, columns, num_rows, num_columns):
    """Part of a matrix (pointer, row stride, column stride) as float32, zeros where it ends."""
    inside = (rows[:, None] < num_rows) & (columns[None, :] < num_columns)
    pointers = matrix[0] + rows[:, None] * matrix[1] + columns[None, :] * matrix[2]
    return tl.load(pointers, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def store_tile(matrix, tile, rows, columns, num_rows, num_columns):
    """Writes part of a matrix (pointer, row stride, column stride)."""
    inside = (rows[:, None] < num_rows) & (columns[None, :] < num_columns)
    tl.store(matrix[0] + rows[:, None] * matrix[1] + columns[None, :] * matrix[2], tile, mask=inside)


@triton.jit
def activate(pre, SMOOTH: tl.constexpr):
    """Activation and its slope; a NaN stays visible."""
    if SMOOTH:
        # Cannot overflow; where PyTorch takes softplus for linear, the logarithm is below the rounding.
        decay = tl.exp(tl.abs(pre) * -_BETA)
        value = tl.where(pre < 0.0, 0.0, pre) + tl.log(1.0 + decay) / _BETA
        slope = tl.where(pre < 0.0, decay, 1.0) / (1.0 + decay)
    else:
        value = tl.where(pre < 0.0, 0.0, pre)
        slope = tl.where(pre > 0.0, 1.0, 0.0)
    return value, slope


@triton.jit
def linear(x, weight, bias, PRECISION: tl.constexpr):
    """Weight (HIDDEN, INPUTS) times inputs (INPUTS, BLOCK), plus the bias that a pointer leads to."""
    out = tl.dot(weight, x, input_precision=PRECISION)
    if bias is not None:
        out += tl.load(bias + tl.arange(0, weight.shape[0]))[:, None]
    return out


@triton.jit
def output_layer(hidden, weight, bias, D: tl.constexpr, HIDDEN: tl.constexpr):
    """Outputs (OUTPUTS, BLOCK) of the last hidden layer; the first, the distance of an SDF, in full float32."""
    units, outputs = tl.arange(0, HIDDEN), tl.arange(0, OUTPUTS)
    tile = load_tile((weight, HIDDEN, 1), outputs, units, D, HIDDEN)
    first = tl.sum(hidden * tl.load(weight + units)[:, None], 0)
    out = tl.where(outputs[:, None] == 0, first[None, :], tl.dot(tile, hidden, input_precision="tf32"))
    if bias is not None:
        out += tl.load(bias + outputs, mask=outputs < D, other=0.0)[:, None]
    return out


@triton.jit
def _hidden_layer(points, x, w1, w1_tile, b1, samples, S, EXTRA: tl.constexpr, K: tl.constexpr, SMOOTH):
    """Activation and slope (HIDDEN, BLOCK); the position, which carries most of an SDF, enters in full float32."""
    units, pre = tl.arange(0, w1_tile.shape[0]), linear(x, w1_tile, b1, "tf32")
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
    BLOCK: tl.constexpr,
):
    points, features, jacobian, layers = inputs
    value, gradient = results
    w1, w2, b1, b2 = layers
    units, columns, samples = tl.arange(0, HIDDEN), tl.arange(0, INPUTS), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    w1_tile = load_tile((w1 + EXTRA, EXTRA + K, 1), units, columns, HIDDEN, K)
    x = load_tile(features, columns, samples, K, S)
    hidden, slope = _hidden_layer(points, x, w1, w1_tile, b1, samples, S, EXTRA, K, SMOOTH)
    store_tile(value, output_layer(hidden, w2, b2, D, HIDDEN), tl.arange(0, OUTPUTS), samples, D, S)

    weighted = slope * tl.load(w2 + units)[:, None]
    cotangent = tl.dot(tl.trans(w1_tile), weighted, input_precision="tf32")
    for axis in tl.static_range(3):
        component = tl.sum(cotangent * load_tile(jacobian[axis], columns, samples, K, S), 0)
        if EXTRA:
            component += 2.0 * tl.sum(weighted * tl.load(w1 + units * (EXTRA + K) + axis)[:, None], 0)
        tl.store(gradient + samples * 3 + axis, component, mask=samples < S)


@triton.jit
def _through_gradient(jacobian, grad, grad_jacobian, weighted, w1_tile, w1_position, samples, S, K):
    """What the cotangents of features (INPUTS, BLOCK) and position (OUTPUTS, BLOCK) and the weighted slopes
    (HIDDEN, BLOCK) receive from the gradient's (3, BLOCK); writes what the Jacobian receives."""
    columns = tl.arange(0, w1_tile.shape[1])
    cotangent = tl.dot(tl.trans(w1_tile), weighted, input_precision="tf32")
    to_features = tl.zeros_like(cotangent)
    for axis in tl.static_range(3):
        g = tl.load(grad[0] + axis * grad[1] + samples * grad[2], mask=samples < S, other=0.0)[None, :]
        to_features += g * load_tile(jacobian[axis], columns, samples, K, S)
        if grad_jacobian is not None:
            store_tile(grad_jacobian[axis], g * cotangent, columns, samples, K, S)
    to_position = 2.0 * load_tile(grad, tl.arange(0, OUTPUTS), samples, 3, S)
    to_weighted = tl.dot(w1_tile, to_features, input_precision="tf32")
    to_weighted = tl.dot(w1_position, to_position, to_weighted, input_precision="tf32")
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
    BLOCK: tl.constexpr,
):
    """Samples beyond the end are zeros with zero gradients, so they add exactly nothing to any sum."""
    points, features, jacobian, layers = inputs
    grad_value, grad_gradient = grads
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
        hidden, slope = _hidden_layer(points, x, w1, w1_tile, b1, samples, S, EXTRA, K, SMOOTH)
        g = load_tile(grad_value, outputs, samples, D, S)
        sum_w2 = tl.dot(hidden, tl.trans(g), sum_w2, input_precision="tf32")
        sum_b2 += tl.sum(g, 1)
        grad_pre = slope * tl.dot(w2_tile, g, input_precision="tf32")
        if grad_gradient is not None:
            weighted = slope * w_sdf
            to_features, to_position, to_weighted = _through_gradient(
                jacobian, grad_gradient, grad_jacobian, weighted, w1_tile, w1_position, samples, S, K
            )
            sum_w1 = tl.dot(weighted, tl.trans(to_features), sum_w1, input_precision="tf32")
            sum_position = tl.dot(weighted, tl.trans(to_position), sum_position, input_precision="tf32")
            sum_sdf += tl.sum(slope * to_weighted, 1)
            if SMOOTH:
                grad_pre += to_weighted * w_sdf * (slope * (1.0 - slope) * _BETA)
        sum_w1 = tl.dot(grad_pre, tl.trans(x), sum_w1, input_precision="tf32")
        # The bias counts as an input of 1 behind the position.
        position = 2.0 * load_tile((points, 1, 3), outputs, samples, 3, S) - 1.0
        position = tl.where(outputs[:, None] < 3, position, 1.0)
        sum_position = tl.dot(grad_pre, tl.trans(position), sum_position, input_precision="tf32")
        if grad_features is not None:
            grad_x = tl.dot(tl.trans(w1_tile), grad_pre, input_precision="tf32")
            store_tile(grad_features, grad_x, columns, samples, K, S)
        start += tl.num_programs(0) * BLOCK
    row = partial + tl.program_id(0) * total
    _store_sums(row, sum_w1, sum_position, sum_w2, sum_sdf, sum_b2, K, D, EXTRA, b1 is not None)
