"""Gradient and Laplacian of a scalar field from its values at a point and its six neighbours along the axes."""

import torch
from torch import Tensor

NUM_TAPS = 7


def tap_points(points: Tensor, eps: float | Tensor) -> Tensor:
    """(S, 7, 3): points (S, 3) of the unit cube, each followed by its neighbours at -eps, then at +eps, along x, y, z.

    eps: a number or (). Neighbours beyond the cube are moved back to its face. Not differentiable in the points."""
    axes = eps * torch.eye(3, dtype=points.dtype, device=points.device)
    steps = torch.cat([torch.zeros_like(axes[:1]), -axes, axes])
    return (points.detach()[:, None] + steps).clamp(0.0, 1.0)


def central_differences(values: Tensor, taps: Tensor, eps: float | Tensor) -> tuple[Tensor, Tensor]:
    """Gradient (S, 3) and Laplacian (S,) of a field with values (S, 7) at `tap_points` (S, 7, 3).

    The gradient is (f(x + eps) - f(x - eps)) / (2 eps) on each axis (Neuralangelo, arXiv:2306.03092, section 3.2), the
    Laplacian the sum of (f(x + eps) - 2 f(x) + f(x - eps)) / eps^2. Distances are measured between the taps, so neither
    rounding nor the face of the cube, where the difference becomes one-sided, leaves an error of order 0; an axis with
    less than eps / 2 left on one side adds nothing to the Laplacian. For points beyond the cube, such as padding, the
    taps coincide and both are finite. Differentiable in the values."""
    middle, below, above = values.split([1, 3, 3], dim=1)
    centre = taps[:, 0]
    before = centre - taps[:, 1:4].diagonal(dim1=1, dim2=2)
    behind = taps[:, 4:].diagonal(dim1=1, dim2=2) - centre
    least = 0.5 * eps
    span = (before + behind).clamp(min=least)
    gradient = (above - below) / span
    fits = torch.minimum(before, behind) > least
    rise, fall = (above - middle) / behind.clamp(min=least), (middle - below) / before.clamp(min=least)
    return gradient, (2.0 * fits * (rise - fall) / span).sum(dim=1)


def follow(own: Tensor, points: Tensor, values: Tensor, taps: Tensor, eps: float | Tensor) -> Tensor:
    """Outputs own (S, C) of a field at points (S, 3), differentiable in the points too, by the differences of its
    values (S, 7, C) at `tap_points` (S, 7, 3), which themselves are constants."""
    if not points.requires_grad:
        return own
    slopes = [central_differences(column, taps, eps)[0] for column in values.unbind(-1)]  # each (S, 3)
    away = points - points.detach()
    return own + torch.stack([(away * slope).sum(-1) for slope in slopes], dim=-1)
