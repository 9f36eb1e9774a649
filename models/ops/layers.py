"""What the network operations are told of a small fully connected network."""

from dataclasses import dataclass

from torch import Tensor

SOFTPLUS_BETA = 100.0


@dataclass(frozen=True)
class Layers:
    """Weights of linear layers with one activation between them."""

    weights: tuple[Tensor, ...]  # each (dim_out, dim_in), first to last
    biases: tuple[Tensor | None, ...]  # each (dim_out,)
    smooth: bool  # softplus with SOFTPLUS_BETA between the layers; otherwise ReLU
    half: bool = False  # fused kernels may multiply numbers of 16 bits; sums are of 32, tiny-cuda-nn's of 16
    exact: bool = False  # forward, they multiply as float32 does: differences of outputs are taken
