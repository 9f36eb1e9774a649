"""Moves points onto a level set of a field by Newton steps along its gradient."""

from collections.abc import Callable

import torch
from torch import Tensor

ValueAndGradient = Callable[[Tensor], tuple[Tensor, Tensor]]  # (N, 3) points -> (N,) values, (N, 3) gradients


def project_to_level(points: Tensor, field: ValueAndGradient, level: float, reach: float, steps: int) -> Tensor:
    """(N, 3) points on `field == level`, or as near to it as `steps` Newton steps from points (N, 3) come.

    No point ends farther than `reach` from where it was, nor where the field is farther from `level` than there. The
    field is asked steps + 1 times."""
    best, place = points, points
    smallest = torch.full_like(points[:, 0], float("inf"))
    for step in range(steps + 1):
        value, gradient = field(place)
        excess = value - level
        closer = excess.abs() < smallest
        best, smallest = torch.where(closer[:, None], place, best), torch.where(closer, excess.abs(), smallest)
        if step == steps:
            break
        slope = gradient.square().sum(-1, keepdim=True).clamp(min=1e-12)
        moved = place - excess[:, None] * gradient / slope - points
        length = moved.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        place = points + moved * (reach / length).clamp(max=1.0)
    return best
