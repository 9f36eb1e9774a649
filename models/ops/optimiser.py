"""Steps of an optimiser for tables of which a step touches a part."""

from torch import Tensor

from models.ops.backends import module


def adam_where_touched(
    parameter: Tensor,
    gradient: Tensor,
    moments: tuple[Tensor, Tensor],
    step: Tensor,
    rate: Tensor | float,
    betas: tuple[float, float],
    eps: float,
    decay: float,
    decoupled: bool,
    *,
    backend: str = "auto",
) -> None:
    """A step of Adam (arXiv:1412.6980) in place, for entries whose gradient is not exactly 0; the others keep value and
    moments, and do not decay. Most of a table has no gradient in a step, and is then not even read.

    parameter, gradient, moments (mean, mean square): one shape; step: () float32, the number of this step, from 1 on;
    rate: the learning rate, a number or () on the device; decay: of weights, times the rate if `decoupled` (AdamW,
    arXiv:1711.05101), otherwise times the parameter and added to the gradient."""
    arguments = parameter, gradient, moments, step, rate, betas, eps, decay, decoupled
    module("adam", backend, gradient).adam_where_touched(*arguments)
