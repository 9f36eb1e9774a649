"""Steps of Adam in plain PyTorch; see `models.ops.adam_where_touched` for meaning and shapes."""

import torch
from torch import Tensor


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
) -> None:
    """In place, as in `models.ops.adam_where_touched`."""
    mean, square = moments
    touched = gradient != 0.0
    if not decoupled:
        gradient = gradient + decay * parameter
    first = betas[0] * mean + (1.0 - betas[0]) * gradient
    second = betas[1] * square + (1.0 - betas[1]) * gradient.square()
    corrected = first / (1.0 - betas[0] ** step), second / (1.0 - betas[1] ** step)
    kept = parameter * (1.0 - rate * decay) if decoupled else parameter
    moved = kept - rate * corrected[0] / (corrected[1].sqrt() + eps)
    for old, new in ((parameter, moved), (mean, first), (square, second)):
        old.copy_(torch.where(touched, new, old))
