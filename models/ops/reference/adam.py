"""Steps of Adam in plain PyTorch; see `models.ops.adam_where_touched` for meaning and shapes."""

import torch
from torch import Tensor

from models.ops.optimiser import AdamStep


def adam_where_touched(parameter: Tensor, gradient: Tensor, moments: tuple[Tensor, Tensor], step: AdamStep) -> None:
    """In place, as in `models.ops.adam_where_touched`."""
    mean, square = moments
    touched = gradient != 0.0
    if not step.decoupled:
        gradient = gradient + step.decay * parameter
    beta1, beta2 = step.betas
    first = beta1 * mean + (1.0 - beta1) * gradient
    second = beta2 * square + (1.0 - beta2) * gradient.square()
    corrected = first / (1.0 - beta1**step.number), second / (1.0 - beta2**step.number)
    kept = parameter * (1.0 - step.rate * step.decay) if step.decoupled else parameter
    moved = kept - step.rate * corrected[0] / (corrected[1].sqrt() + step.eps)
    for old, new in ((parameter, moved), (mean, first), (square, second)):
        old.copy_(torch.where(touched, new, old))
