"""Whether the numbers of a training are still numbers."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class NotFiniteError(Exception):
    """NaN or infinity in a training: what follows from it is lost."""

    def __init__(self, step: int, names: list[str]) -> None:
        super().__init__(f"step {step}: NaN or infinity in {', '.join(names)}")


def weight_norm(module: nn.Module) -> Tensor:
    """() the norm of all parameters, on their device: finite where they are. The host does not wait for it."""
    return nn.utils.get_total_norm([parameter.detach() for parameter in module.parameters()])


def check_figures(step: int, values: Mapping[str, float]) -> None:
    """Raises NotFiniteError where a figure of a step is none."""
    names = [name for name, value in values.items() if not math.isfinite(value)]
    if names:
        raise NotFiniteError(step, names)


def require_finite(module: nn.Module) -> None:
    """Raises NotFiniteError where a parameter, or a buffer such as the occupancy grid, is not; the host waits for this.

    module: with the `global_step` of a training."""
    numbers = [value for value in module.state_dict().values() if torch.is_floating_point(value)]
    if not bool(torch.isfinite(nn.utils.get_total_norm(numbers))):
        names = [name for name, value in module.state_dict().items() if not torch.isfinite(value).all()]
        raise NotFiniteError(module.global_step, names or ["the norm of the parameters"])
