"""Steps of an optimiser for tables of which a step touches a part."""

from dataclasses import dataclass

from torch import Tensor

from models.ops.backends import module


@dataclass(frozen=True)
class AdamStep:
    """A step of Adam (arXiv:1412.6980), or with `decoupled` of AdamW (arXiv:1711.05101)."""

    number: Tensor  # () float32, from 1 on
    rate: Tensor | float  # of learning: a number, or () on the device
    betas: tuple[float, float]
    eps: float
    decay: float  # of weights, times the rate if `decoupled`; else times the parameter, and added to the gradient
    decoupled: bool


def adam_where_touched(
    parameter: Tensor, gradient: Tensor, moments: tuple[Tensor, Tensor], step: AdamStep, *, backend: str = "auto"
) -> None:
    """Steps in place the entries whose gradient is not exactly 0; the others keep value and moments, and do not decay.

    Most of a table has no gradient in a step, and is then not even read. parameter, gradient, moments (mean, mean
    square): one shape."""
    module("adam", backend, gradient).adam_where_touched(parameter, gradient, moments, step)
