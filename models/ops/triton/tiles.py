"""Tiles of small networks in Triton kernels, and how these are launched; for `triton_mlp` and `triton_sdf`.

Tiles stand upright, samples side by side, so that the tensor cores take activations and their gradients from where
they left them."""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.ops.backends import INTERPRETING
from models.ops.layers import SOFTPLUS_BETA, Layers

FORWARD = {"BLOCK": 128, "num_warps": 4}  # samples at once
BACKWARD = {"BLOCK": 32, "num_warps": 4}  # with more samples at once the tiles do not fit the registers
PROGRAMS = 528  # of a backward pass: four per multiprocessor of an H200, each sums its blocks in registers
WIDTHS = (16, 32, 64, 128)  # of a hidden layer
MAX_INPUTS = 64
MAX_HALF_INPUTS, MAX_HALF_HIDDEN = 32, 64  # in numbers of 16 bits
OUTPUTS = tl.constexpr(16)  # room for the outputs, as tensor cores need it
BETA = tl.constexpr(SOFTPLUS_BETA)
_WIDENED = tl.constexpr(INTERPRETING)  # the interpreter takes bfloat16 for whole numbers in a product


def fits(layers: Layers, most_hidden: int, extras: tuple[int, ...], *inputs: Tensor) -> bool:
    """Whether the fused kernels can compute a network over (S, K, ...) inputs, with so many `extras` in front."""
    S, K = inputs[0].shape[:2]
    widths = [weight.shape[0] for weight in layers.weights]
    reach = max(sum((n - 1) * stride for n, stride in zip(t.shape, t.stride(), strict=True)) for t in inputs)
    return (
        2 <= len(widths) <= 1 + most_hidden
        and len(set(widths[:-1])) == 1
        and widths[0] in WIDTHS
        and (len(widths) == 2 or widths[0] <= 64)  # two layers of 128 would not fit the shared memory
        and widths[-1] <= OUTPUTS.value
        and 1 <= K <= MAX_INPUTS
        and layers.weights[0].shape[1] - K in extras
        and len({bias is None for bias in layers.biases}) == 1
        and all(weight.dtype == torch.float32 for weight in layers.weights)
        and max(reach, S * OUTPUTS.value) < 2**31  # offsets of 32 bits, for want of registers
    )


def unscaled(x: Tensor) -> torch.autocast:
    """Full precision for a network that does not fit: no loss is scaled here, so 16-bit gradients would vanish."""
    return torch.autocast(x.device.type, enabled=False)


def sizes(num_inputs: int, weights: Sequence[Tensor]) -> dict[str, int]:
    """What all kernels are compiled for: K inputs padded to INPUTS, HIDDEN units, D outputs."""
    hidden, padded = weights[0].shape[0], max(16, triton.next_power_of_2(num_inputs))
    return {"K": num_inputs, "INPUTS": padded, "HIDDEN": hidden, "D": weights[-1].shape[0]}


def kinds(half: bool, room: dict[str, int], exact: bool = False) -> dict[str, str]:
    """What the tensor cores read: numbers of 16 bits, with the range of 32 in a backward pass, or tf32.

    room: see `sizes`. Networks wider than the usual ones are multiplied in tf32: of numbers of 16 bits, with inputs
    padded to 64, Triton 3.6 compiles for a Hopper GPU what reaches beyond its shared memory, and gradients are wrong.
    exact: forward, three products of tf32 in the place of each, as exact as one of float32."""
    half = half and room["INPUTS"] <= MAX_HALF_INPUTS and room["HIDDEN"] <= MAX_HALF_HIDDEN
    found = {"FORWARD": "fp16", "BACKWARD": "bf16"} if half else {"FORWARD": "tf32", "BACKWARD": "tf32"}
    return found | ({"FORWARD": "tf32x3"} if exact else {})


def launch(options: dict[str, int], hidden: int) -> dict[str, int]:
    """The options of a launch for so many hidden units."""
    return options | {"num_warps": max(options["num_warps"], hidden // 16)}


def partial_gradients(num_samples: int, layers: Sequence[Tensor | None]) -> Tensor:
    """Room (P, total) for what each of P programs of a backward pass adds up: the gradients of `layers` in turn."""
    num_programs = max(1, min(triton.cdiv(num_samples, BACKWARD["BLOCK"]), PROGRAMS))
    return layers[0].new_empty(num_programs, sum(tensor.numel() for tensor in layers if tensor is not None))


def sum_gradients(partial: Tensor, layers: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The gradients of `layers` from those of the programs, in an order that does not change from run to run."""
    parts = iter(partial.sum(0).split([tensor.numel() for tensor in layers if tensor is not None]))
    return [None if tensor is None else next(parts).view_as(tensor) for tensor in layers]


def upright(tensor: Tensor | None) -> tuple | None:
    """An (S, K) tensor as the kernels take it: (K, S) with its strides, however it lies in memory."""
    return None if tensor is None else (tensor, tensor.stride(1), tensor.stride(0))


@triton.jit
def used(count, S):
    """Samples in front of the padding, at most S."""
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
def activate(pre, SMOOTH: tl.constexpr):
    """Activation and its slope; a NaN stays visible."""
    if SMOOTH:
        # Cannot overflow; where PyTorch takes softplus for linear, the logarithm is below the rounding.
        decay = tl.exp(tl.abs(pre) * -BETA)
        value = tl.where(pre < 0.0, 0.0, pre) + tl.log(1.0 + decay) / BETA
        slope = tl.where(pre < 0.0, decay, 1.0) / (1.0 + decay)
    else:
        value = tl.where(pre < 0.0, 0.0, pre)
        slope = tl.where(pre > 0.0, 1.0, 0.0)
    return value, slope


@triton.jit
def _narrow(x, KIND: tl.constexpr):
    """An operand as the tensor cores read it."""
    if KIND == "fp16":
        x = x.to(tl.float16)
    elif KIND == "bf16":
        x = x.to(tl.bfloat16)
        if _WIDENED:
            x = x.to(tl.float32)
    return x


@triton.jit
def multiply(a, b, KIND: tl.constexpr):
    """Matrix product with float32 sums; KIND is what the tensor cores read: tf32, tf32x3, fp16 or bf16."""
    return tl.dot(_narrow(a, KIND), _narrow(b, KIND), input_precision="tf32x3" if KIND == "tf32x3" else "tf32")


@triton.jit
def multiply_add(a, b, total, KIND: tl.constexpr):
    """A running sum plus a matrix product; see `multiply`."""
    return tl.dot(_narrow(a, KIND), _narrow(b, KIND), total, input_precision="tf32x3" if KIND == "tf32x3" else "tf32")


@triton.jit
def linear(x, weight, bias, KIND: tl.constexpr):
    """Weight (HIDDEN, INPUTS) times inputs (INPUTS, BLOCK), plus the bias that a pointer leads to."""
    out = multiply(weight, x, KIND)
    if bias is not None:
        out += tl.load(bias + tl.arange(0, weight.shape[0]))[:, None]
    return out


@triton.jit
def output_layer(hidden, weight, bias, D: tl.constexpr, HIDDEN: tl.constexpr, KIND: tl.constexpr):
    """Outputs (OUTPUTS, BLOCK) of the last hidden layer; the first, the distance of an SDF, in full float32."""
    units, outputs = tl.arange(0, HIDDEN), tl.arange(0, OUTPUTS)
    tile = load_tile((weight, HIDDEN, 1), outputs, units, D, HIDDEN)
    first = tl.sum(hidden * tl.load(weight + units)[:, None], 0)
    out = tl.where(outputs[:, None] == 0, first[None, :], multiply(tile, hidden, KIND))
    if bias is not None:
        out += tl.load(bias + outputs, mask=outputs < D, other=0.0)[:, None]
    return out
