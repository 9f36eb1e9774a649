"""Checks that the numbers of a training are finite."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class NotFiniteError(Exception):
    """A number of a training is NaN or infinite, and all that follows from it is lost."""

    def __init__(self, step: int, names: list[str]) -> None:
        super().__init__(f"step {step}: NaN or infinity in {', '.join(names)}")


def weight_norm(module: nn.Module) -> Tensor:
    """The norm of all parameters, () on their device: finite if they are. The host does not wait for it."""
    return nn.utils.get_total_norm([parameter.detach() for parameter in module.parameters()])


def check_figures(step: int, values: Mapping[str, float]) -> None:
    """Raises NotFiniteError if a figure of a step is NaN or infinite."""
    names = [name for name, value in values.items() if not math.isfinite(value)]
    if names:
        raise NotFiniteError(step, names)


def require_finite(module: nn.Module) -> None:
    """Raises NotFiniteError if a parameter, or a buffer such as the occupancy grid, is not finite. The host waits.

    module: a LightningModule, whose `global_step` the error names."""
    numbers = [value for value in module.state_dict().values() if torch.is_floating_point(value)]
    if not bool(torch.isfinite(nn.utils.get_total_norm(numbers))):
        names = [name for name, value in module.state_dict().items() if not torch.isfinite(value).all()]
        raise NotFiniteError(module.global_step, names or ["the norm of the parameters"])
