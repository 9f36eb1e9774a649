"""Small networks on a GPU: all layers of a block of samples in one kernel, forward and backward."""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from models.ops import fused
from models.ops.cards import card_of
from models.ops.layers import Layers
from models.ops.reference import mlp as reference_mlp
from models.ops.refusals import backward_of
from models.ops.triton.fields import sdf_mlp_with_gradient
from models.ops.triton.networks.tiles import (
    OUTPUTS,
    activate,
    is_supported,
    launch_options,
    linear,
    load_tile,
    multiply,
    multiply_add,
    num_valid,
    operand_precision,
    output_layer,
    partial_gradients,
    store_tile,
    sum_gradients,
    tile_shape,
    transposed,
    without_autocast,
)

__all__ = ["mlp", "sdf_mlp_with_gradient"]


def mlp(x: Tensor, layers: Layers, count: Tensor | None = None) -> Tensor:
    """Outputs as in `models.ops.mlp`, float32."""
    if not is_supported(layers, fused.MLP, x):
        with without_autocast(x):
            return reference_mlp.mlp(x.float(), layers, count)
    shape = tile_shape(x.shape[1], layers.weights)
    # An SDF starts from its inputs: rounded to 10 bits they would move the surface.
    precision = operand_precision(card_of(x.device), layers.allow_fp16, shape, layers.full_fp32, layers.softplus)
    settings = layers.softplus, layers.squash, precision, len(layers.weights) - 1
    return _MLP.apply(x, count, *settings, *layers.weights, *layers.biases)


class _MLP(torch.autograd.Function):
    """First order in inputs and layers; the backward pass computes the hidden layers again."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        count: Tensor | None,
        softplus: bool,
        squash: bool,
        precision: dict[str, str],
        num_hidden: int,
        *layers: Tensor | None,
    ) -> Tensor:
        layers = [None if t is None else t.contiguous() for t in layers]
        weights, biases = tuple(layers[: num_hidden + 1]), tuple(layers[num_hidden + 1 :])
        S, K = x.shape
        ctx.shape = tile_shape(K, weights) | {"NUM_HIDDEN": num_hidden, "SOFTPLUS": softplus, "SQUASH": squash}
        ctx.precision = precision
        out = x.new_empty(S, ctx.shape["D"], dtype=torch.float32)
        options = launch_options(card_of(x.device).tiles.forward, ctx.shape["HIDDEN"])
        grid = (triton.cdiv(S, options["BLOCK"]),)
        _forward[grid](
            x=transposed(x),
            weights=weights,
            biases=biases,
            out=transposed(out),
            count=count,
            S=S,
            **ctx.shape,
            **ctx.precision,
            **options,
        )
        ctx.save_for_backward(x, out if squash else None, count, *layers)
        return out

    @staticmethod
    @once_differentiable
    @backward_of("mlp.mlp")
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, out, count, *layers = ctx.saved_tensors
        S, num_hidden = x.shape[0], ctx.shape["NUM_HIDDEN"]
        weights, biases = tuple(layers[: num_hidden + 1]), tuple(layers[num_hidden + 1 :])
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        partial = partial_gradients(S, layers)
        grid, options = (partial.shape[0],), launch_options(card_of(x.device).tiles.backward, ctx.shape["HIDDEN"])
        _backward[grid](
            x=transposed(x),
            weights=weights,
            biases=biases,
            out=transposed(out),
            grad=transposed(grad),
            grad_x=transposed(grad_x),
            partial=partial,
            total=partial.shape[1],
            count=count,
            S=S,
            **ctx.shape,
            **ctx.precision,
            **options,
        )
        return grad_x, None, None, None, None, None, *sum_gradients(partial, layers)


@triton.jit
def _forward(
    x,
    weights,
    biases,
    out,
    count,
    S,
    K: tl.constexpr,
    INPUTS: tl.constexpr,
    HIDDEN: tl.constexpr,
    D: tl.constexpr,
    NUM_HIDDEN: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    SQUASH: tl.constexpr,
    FORWARD: tl.constexpr,
    BACKWARD: tl.constexpr,
    FIRST: tl.constexpr,
    BLOCK: tl.constexpr,
):
    units, columns, samples = tl.arange(0, HIDDEN), tl.arange(0, INPUTS), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    result = tl.zeros((OUTPUTS, BLOCK), tl.float32)
    if tl.program_id(0) * BLOCK < num_valid(count, S):
        first = load_tile((weights[0], K, 1), units, columns, HIDDEN, K)
        tile = load_tile(x, columns, samples, K, S)
        hidden, _ = activate(linear(tile, first, biases[0], FIRST), SOFTPLUS)
        if NUM_HIDDEN == 2:
            middle = load_tile((weights[1], HIDDEN, 1), units, units, HIDDEN, HIDDEN)
            hidden, _ = activate(linear(hidden, middle, biases[1], FORWARD), SOFTPLUS)
        result = output_layer(hidden, weights[NUM_HIDDEN], biases[NUM_HIDDEN], D, HIDDEN, FORWARD)
        if SQUASH:
            result = tl.sigmoid(result)
    store_tile(out, result, tl.arange(0, OUTPUTS), samples, D, S)


@triton.jit
def _clear(matrix, start, rows, num_rows, S, BLOCK: tl.constexpr):
    """Zeros in the blocks of this program from sample `start` on."""
    while start < S:
        zeros = tl.zeros((rows.shape[0], BLOCK), tl.float32)
        store_tile(matrix, zeros, rows, start + tl.arange(0, BLOCK), num_rows, S)
        start += tl.num_programs(0) * BLOCK


@triton.jit
def _store_sums(row, first, middle, last, biases, K, D, NUM_HIDDEN: tl.constexpr, BIAS: tl.constexpr):
    """Writes the sums of one program, in the order of the layers; biases: of first, middle and last layer."""
    HIDDEN: tl.constexpr = first.shape[0]
    units, outputs = tl.arange(0, HIDDEN), tl.arange(0, OUTPUTS)
    store_tile((row, K, 1), first, units, tl.arange(0, first.shape[1]), HIDDEN, K)
    if NUM_HIDDEN == 2:
        store_tile((row + HIDDEN * K, HIDDEN, 1), middle, units, units, HIDDEN, HIDDEN)
    row += HIDDEN * (K + (NUM_HIDDEN - 1) * HIDDEN)
    store_tile((row, 1, HIDDEN), last, units, outputs, HIDDEN, D)
    row += D * HIDDEN
    if BIAS:
        tl.store(row + units, biases[0])
        if NUM_HIDDEN == 2:
            tl.store(row + HIDDEN + units, biases[1])
        tl.store(row + NUM_HIDDEN * HIDDEN + outputs, biases[2], mask=outputs < D)


@triton.jit
def _load_gradient(grad, out, outputs, samples, D, S, SQUASH: tl.constexpr):
    """That of the last layer, from that of the outputs."""
    g = load_tile(grad, outputs, samples, D, S)
    if SQUASH:
        value = load_tile(out, outputs, samples, D, S)
        g *= value * (1.0 - value)
    return g


@triton.jit
def _backward(
    x,
    weights,
    biases,
    out,
    grad,
    grad_x,
    partial,
    total,
    count,
    S,
    K: tl.constexpr,
    INPUTS: tl.constexpr,
    HIDDEN: tl.constexpr,
    D: tl.constexpr,
    NUM_HIDDEN: tl.constexpr,
    SOFTPLUS: tl.constexpr,
    SQUASH: tl.constexpr,
    FORWARD: tl.constexpr,
    BACKWARD: tl.constexpr,
    FIRST: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Samples beyond S are zeros with zero gradients, so they add exactly nothing to any sum; blocks of padding are
    skipped."""
    units, columns, outputs = tl.arange(0, HIDDEN), tl.arange(0, INPUTS), tl.arange(0, OUTPUTS)
    first = load_tile((weights[0], K, 1), units, columns, HIDDEN, K)
    last = load_tile((weights[NUM_HIDDEN], 1, HIDDEN), units, outputs, HIDDEN, D)
    sum_first, bias_first = tl.zeros((HIDDEN, INPUTS), tl.float32), tl.zeros((HIDDEN,), tl.float32)
    sum_last, bias_last = tl.zeros((HIDDEN, OUTPUTS), tl.float32), tl.zeros((OUTPUTS,), tl.float32)
    sum_middle, bias_middle = bias_first, bias_first
    if NUM_HIDDEN == 2:
        middle = load_tile((weights[1], HIDDEN, 1), units, units, HIDDEN, HIDDEN)
        sum_middle = tl.zeros((HIDDEN, HIDDEN), tl.float32)
    start, end = tl.program_id(0) * BLOCK, num_valid(count, S)
    while start < end:
        samples = start + tl.arange(0, BLOCK)
        tile = load_tile(x, columns, samples, K, S)
        g = _load_gradient(grad, out, outputs, samples, D, S, SQUASH)
        bias_last += tl.sum(g, 1)
        hidden, slope = activate(linear(tile, first, biases[0], FIRST), SOFTPLUS)
        top = hidden
        if NUM_HIDDEN == 2:
            top, top_slope = activate(linear(hidden, middle, biases[1], FORWARD), SOFTPLUS)
        sum_last = multiply_add(top, tl.trans(g), sum_last, BACKWARD)
        g = multiply(last, g, BACKWARD)
        if NUM_HIDDEN == 2:
            g *= top_slope
            sum_middle = multiply_add(g, tl.trans(hidden), sum_middle, BACKWARD)
            bias_middle += tl.sum(g, 1)
            g = multiply(tl.trans(middle), g, BACKWARD)
        g *= slope
        sum_first = multiply_add(g, tl.trans(tile), sum_first, BACKWARD)
        bias_first += tl.sum(g, 1)
        if grad_x is not None:
            store_tile(grad_x, multiply(tl.trans(first), g, BACKWARD), columns, samples, K, S)
        start += tl.num_programs(0) * BLOCK
    if grad_x is not None:
        _clear(grad_x, start, columns, K, S, BLOCK)
    row, sums = partial + tl.program_id(0) * total, (bias_first, bias_middle, bias_last)
    _store_sums(row, sum_first, sum_middle, sum_last, sums, K, D, NUM_HIDDEN, biases[0] is not None)
