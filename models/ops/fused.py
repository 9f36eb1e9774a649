"""What the fused GPU kernels can compute: asked at each launch, and once by the warning that a network will be slow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from models.ops.cards import card_of
from models.ops.grid import GridSpec
from models.ops.layers import Layers

WIDTHS = (16, 32, 64, 128)  # of a hidden layer
MAX_WIDTH_OF_TWO = 64  # two hidden layers of 128 would not fit the shared memory
MAX_INPUTS = 64  # beside the position of an SDF
MAX_OUTPUTS = 16


@dataclass(frozen=True)
class NetworkKernel:
    """A kernel for networks: how many hidden layers it has, and how many inputs it takes in front of the features."""

    max_hidden_layers: int
    extra_inputs: tuple[int, ...]


MLP = NetworkKernel(max_hidden_layers=2, extra_inputs=(0,))
SDF_WITH_GRADIENT = NetworkKernel(max_hidden_layers=1, extra_inputs=(0, 3))  # with or without the position


@dataclass(frozen=True)
class Misfit:
    """One property of a network or a grid that the fused kernels do not have."""

    what: Literal["hidden layers", "width", "outputs", "inputs", "biases", "precision", "features per level"]
    given: str
    fits: str


def network_misfits(layers: Layers, num_features: int, kernel: NetworkKernel) -> list[Misfit]:
    """What keeps a network over `num_features` inputs, those in front not counted, from a kernel; empty if it fits."""
    widths, num_hidden = [weight.shape[0] for weight in layers.weights[:-1]], len(layers.weights) - 1
    num_outputs, extra = layers.weights[-1].shape[0], layers.weights[0].shape[1] - num_features
    most = kernel.max_hidden_layers
    card = card_of(layers.weights[0].device)
    narrow = [width for width in WIDTHS if num_hidden < 2 or width <= MAX_WIDTH_OF_TWO]
    narrow = [width for width in narrow if card.tiles.fits(width, card)]
    checks = (
        (1 <= num_hidden <= most, "hidden layers", num_hidden, "1" if most == 1 else f"1 to {most}"),
        (len(set(widths)) <= 1 and set(widths) <= set(narrow), "width", _listed(widths), _listed(narrow)),
        (num_outputs <= MAX_OUTPUTS, "outputs", num_outputs, f"1 to {MAX_OUTPUTS}"),
        (1 <= num_features <= MAX_INPUTS, "inputs", num_features, f"1 to {MAX_INPUTS}"),
        (extra in kernel.extra_inputs, "inputs", num_features + extra, _listed(kernel.extra_inputs) + " more"),
        (len({bias is None for bias in layers.biases}) == 1, "biases", "some layers", "all layers or none"),
        (all(weight.dtype == torch.float32 for weight in layers.weights), "precision", "other", "float32"),
    )
    return [Misfit(what, str(given), fits) for fine, what, given, fits in checks if not fine]


def grid_misfits(spec: GridSpec) -> list[Misfit]:
    """What keeps a hash grid from the kernels; empty if it fits. They read two features at a time."""
    num = spec.features_per_level
    return [Misfit("features per level", str(num), "an even number")] if num % 2 else []


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, dict.fromkeys(numbers)))
