"""Tiles of small networks in Triton kernels, and how these are launched; for `mlp` and `sdf`.

Tiles are transposed, samples side by side, so that the tensor cores take activations and their gradients from where
they left them."""

import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.ops.backends import INTERPRETING
from models.ops.cards import PROGRAMS, Card, card_of
from models.ops.fused import MAX_OUTPUTS, NetworkKernel, network_misfits
from models.ops.layers import SOFTPLUS_BETA, Layers

MAX_FP16_INPUTS, MAX_FP16_HIDDEN = 32, 64  # of a network that is multiplied in 16 bits
SUM_ROWS, SUM_COLUMNS = 128, 32  # of the sums of programs, at a time
OUTPUTS = tl.constexpr(MAX_OUTPUTS)  # rows of a tile of outputs, as many as tensor cores need
BETA = tl.constexpr(SOFTPLUS_BETA)
_DECAY = tl.constexpr(-SOFTPLUS_BETA / math.log(2.0))  # exp2 has fewer instructions than exp
_EMULATES_BF16 = tl.constexpr(INTERPRETING)  # the interpreter multiplies bfloat16 as if it were whole numbers


def is_supported(layers: Layers, kernel: NetworkKernel, *inputs: Tensor) -> bool:
    """Whether a fused kernel can compute a network over inputs (S, K, ...), the first of which are its features."""
    S, K = inputs[0].shape[:2]
    if network_misfits(layers, K, kernel):
        return False
    reach = max(sum((n - 1) * stride for n, stride in zip(t.shape, t.stride(), strict=True)) for t in inputs)
    return max(reach, S * OUTPUTS.value) < 2**31  # offsets of 32 bits, since registers are scarce


def without_autocast(x: Tensor) -> torch.autocast:
    """Full precision for a network that the kernels do not support: losses are not scaled, so 16-bit gradients would
    vanish."""
    return torch.autocast(x.device.type, enabled=False)


def tile_shape(num_inputs: int, weights: Sequence[Tensor]) -> dict[str, int]:
    """The sizes that all kernels are compiled for: K inputs padded to INPUTS, HIDDEN units, D outputs."""
    hidden, padded = weights[0].shape[0], max(16, triton.next_power_of_2(num_inputs))
    return {"K": num_inputs, "INPUTS": padded, "HIDDEN": hidden, "D": weights[-1].shape[0]}


def operand_precision(
    card: Card, allow_fp16: bool, shape: dict[str, int], full_fp32: bool = False, exact_inputs: bool = False
) -> dict[str, str]:
    """What the tensor cores multiply: numbers of 16 bits, in a backward pass with the range of 32 bits, or tf32, or
    what a card has instead.

    shape: see `tile_shape`. Networks wider than the usual ones are multiplied in tf32: for numbers of 16 bits, with
    inputs padded to 64, Triton 3.6 compiles code for a Hopper GPU that reaches beyond its shared memory, and gradients
    are wrong. full_fp32: three tf32 products for each one of the forward pass, as exact as float32. exact_inputs: so
    in the first layer, FIRST."""
    fp16 = allow_fp16 and shape["INPUTS"] <= MAX_FP16_INPUTS and shape["HIDDEN"] <= MAX_FP16_HIDDEN
    forward, backward = ("fp16", "bf16") if fp16 else ("tf32", "tf32")
    forward = "tf32x3" if full_fp32 else forward
    first, own = "tf32x3" if exact_inputs else forward, card.tiles
    return {
        "FIRST": own.forward_types.get(first, first),
        "FORWARD": own.forward_types.get(forward, forward),
        "BACKWARD": own.backward_types.get(backward, backward),
    }


def launch_options(tile: tuple[int, int], hidden: int) -> dict[str, int]:
    """The options of a launch with so many samples and warps, for so many hidden units."""
    return {"BLOCK": tile[0], "num_warps": max(tile[1], hidden // 16)}


def most_programs(card: Card) -> int:
    """Of a backward pass."""
    return PROGRAMS * card.multiprocessors


def partial_gradients(num_samples: int, layers: Sequence[Tensor | None], fewer: int = 1) -> Tensor:
    """Uninitialised (P, total): each of P programs of a backward pass writes its sums there, the gradients of `layers`
    one after the other. fewer: so many times fewer programs than the card takes, at most."""
    card = card_of(layers[0].device)
    num_programs = max(1, min(triton.cdiv(num_samples, card.tiles.backward[0]), most_programs(card) // fewer))
    return layers[0].new_empty(num_programs, sum(tensor.numel() for tensor in layers if tensor is not None))


def sum_gradients(partial: Tensor, layers: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The gradients of `layers` from those of the programs, in an order that does not change from run to run."""
    P, total = partial.shape
    sums = partial.new_empty(total)
    _sum_programs[(triton.cdiv(total, SUM_COLUMNS),)](
        partial=partial, sums=sums, P=P, total=total, ROWS=SUM_ROWS, COLUMNS=SUM_COLUMNS, num_warps=8
    )
    parts = iter(sums.split([tensor.numel() for tensor in layers if tensor is not None]))
    return [None if tensor is None else next(parts).view_as(tensor) for tensor in layers]


@triton.jit
def _sum_programs(partial, sums, P, total, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Sums over P rows: hundreds of them, which torch adds up by too few threads."""
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    summed = tl.zeros((ROWS, COLUMNS), tl.float32)
    first = 0
    while first < P:
        row = first + tl.arange(0, ROWS)
        cell = (row < P)[:, None] & (column < total)[None, :]
        summed += tl.load(partial + row[:, None] * total + column[None, :], mask=cell, other=0.0)
        first += ROWS
    tl.store(sums + column, tl.sum(summed, 0), mask=column < total)


def transposed(tensor: Tensor | None) -> tuple | None:
    """An (S, K) tensor as the kernels take it: as (K, S), with its strides, whatever its layout in memory."""
    return None if tensor is None else (tensor, tensor.stride(1), tensor.stride(0))


@triton.jit
def num_valid(count, S):
    """The number of samples in front of the padding, at most S."""
    end = S
    if count is not None:
        end = tl.minimum(S, tl.load(count)).to(tl.int32)
    return end


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
def _log1p(x):
    """log(1 + x) for x in [0, 1], to 1.5e-7, as exact as a logarithm and a third of its instructions: x times the
    polynomial of degree 8 whose largest error, as a share of log(1 + x) / x, is smallest there."""
    p = x * 0.0052326931 - 0.0295052398
    p = p * x + 0.0782259554
    p = p * x - 0.1366324574
    p = p * x + 0.1910600662
    p = p * x - 0.2484298199
    p = p * x + 0.3331909776
    p = p * x - 0.4999949336
    return x * (p * x + 0.9999999404)


@triton.jit
def activate(pre, SOFTPLUS: tl.constexpr):
    """Activation and its slope; a NaN stays visible."""
    if SOFTPLUS:
        # Cannot overflow; where PyTorch takes softplus for linear, the logarithm is below the rounding.
        decay = tl.exp2(tl.abs(pre) * _DECAY)
        value = tl.where(pre < 0.0, 0.0, pre) + _log1p(decay) * (1.0 / BETA)
        slope = tl.where(pre < 0.0, decay, 1.0) / (1.0 + decay)
    else:
        value = tl.where(pre < 0.0, 0.0, pre)
        slope = tl.where(pre > 0.0, 1.0, 0.0)
    return value, slope


@triton.jit
def _operand(x, PRECISION: tl.constexpr):
    """An operand as the tensor cores read it."""
    if PRECISION == "fp16":
        x = x.to(tl.float16)
    elif PRECISION == "bf16":
        x = x.to(tl.bfloat16)
        if _EMULATES_BF16:
            x = x.to(tl.float32)
    return x


@triton.constexpr_function
def _input_precision(precision: str) -> str:
    """What Triton is told of a product: of numbers of 16 bits, and of fp32, there is one way."""
    return precision if precision in ("tf32", "tf32x3") else "ieee"


@triton.jit
def multiply(a, b, PRECISION: tl.constexpr):
    """Matrix product with float32 sums; PRECISION is what is multiplied: tf32, tf32x3, fp16, bf16 or, without tensor
    cores, fp32."""
    return tl.dot(_operand(a, PRECISION), _operand(b, PRECISION), input_precision=_input_precision(PRECISION))


@triton.jit
def multiply_add(a, b, total, PRECISION: tl.constexpr):
    """A running sum plus a matrix product; see `multiply`."""
    return tl.dot(_operand(a, PRECISION), _operand(b, PRECISION), total, input_precision=_input_precision(PRECISION))


@triton.jit
def linear(x, weight, bias, PRECISION: tl.constexpr):
    """Weight (HIDDEN, INPUTS) times inputs (INPUTS, BLOCK), plus the bias that a pointer leads to."""
    out = multiply(weight, x, PRECISION)
    if bias is not None:
        out += tl.load(bias + tl.arange(0, weight.shape[0]))[:, None]
    return out


@triton.jit
def output_layer(hidden, weight, bias, D: tl.constexpr, HIDDEN: tl.constexpr, PRECISION: tl.constexpr):
    """Outputs (OUTPUTS, BLOCK) of the last hidden layer; the first, the distance of an SDF, in full float32."""
    units, outputs = tl.arange(0, HIDDEN), tl.arange(0, OUTPUTS)
    tile = load_tile((weight, HIDDEN, 1), outputs, units, D, HIDDEN)
    first = tl.sum(hidden * tl.load(weight + units)[:, None], 0)
    out = tl.where(outputs[:, None] == 0, first[None, :], multiply(tile, hidden, PRECISION))
    if bias is not None:
        out += tl.load(bias + outputs, mask=outputs < D, other=0.0)[:, None]
    return out


@triton.jit
def store_to_inputs(
    grad_features, grad_points, grad_x, grad_pre, jacobian, w1, samples, S, EXTRA: tl.constexpr, K: tl.constexpr
):
    """Writes the gradients of features, grad_x (INPUTS, BLOCK), and of points (S, 3), each unless it is None: that of
    the points through the features by the Jacobian, a plane for each axis, and through the position, which the first
    layer reads in front of these, to its units grad_pre (HIDDEN, BLOCK)."""
    columns, units = tl.arange(0, grad_x.shape[0]), tl.arange(0, grad_pre.shape[0])
    if grad_features is not None:
        store_tile(grad_features, grad_x, columns, samples, K, S)
    if grad_points is not None:
        for axis in tl.static_range(3):
            component = tl.sum(grad_x * load_tile(jacobian[axis], columns, samples, K, S), 0)
            if EXTRA:
                component += 2.0 * tl.sum(grad_pre * tl.load(w1 + units * (EXTRA + K) + axis)[:, None], 0)
            tl.store(grad_points + samples * 3 + axis, component, mask=samples < S)
