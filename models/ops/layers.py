"""What the network operations are told of small fully connected networks."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

SOFTPLUS_BETA = 100.0


@dataclass(frozen=True)
class Layers:
    """Weights of linear layers with one activation between them."""

    weights: tuple[Tensor, ...]  # each (dim_out, dim_in), first to last
    biases: tuple[Tensor | None, ...]  # each (dim_out,)
    softplus: bool  # the activation: softplus with SOFTPLUS_BETA; otherwise ReLU
    # fused kernels may multiply numbers of 16 bits; they sum in 32 bits, tiny-cuda-nn in 16
    allow_fp16: bool = False
    # in the forward pass fused kernels multiply as exactly as float32 does: for differences between outputs
    full_fp32: bool = False
    squash: bool = False  # the outputs of `mlp` are passed through a logistic function


@dataclass(frozen=True)
class RadianceHeads:
    """Two networks that make density and colour of encoded points."""

    density: Layers  # reads features of points; its output 0 makes the density
    color: Layers  # reads all outputs of the density's network, then harmonics of the direction
    activation: Literal["trunc_exp", "softplus"]  # of output 0 plus the bias; see `ops.density_from_raw`
    bias: float
