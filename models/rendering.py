"""Opacity of the intervals along a ray, as pure functions."""

import torch
from torch import Tensor
from torch.nn import functional as F


def alpha_from_sdf(sdf: Tensor, cosine: Tensor, dt: Tensor, inv_s: Tensor) -> Tensor:
    """Opacity of each interval, from the SDF at its middle (NeuS, arXiv:2106.10689, eq. 13).

    sdf, cosine, dt: (S,); cosine <= 0 when facing the camera; dt in scene units; inv_s: () > 0.
    Returns (S,) in [0, 1]. Differentiable in all four."""
    half = 0.5 * dt * cosine
    before = torch.sigmoid((sdf - half) * inv_s)
    after = torch.sigmoid((sdf + half) * inv_s)
    return ((before - after + 1e-5) / (before + 1e-5)).clamp(0.0, 1.0)


def annealed_cosine(cosine: Tensor, anneal: Tensor) -> Tensor:
    """Slope of the SDF along the ray, <= 0: half-blind to the angle of view at anneal 0, true at 1 (NeuS, code).

    cosine: (S,) between direction and normal; anneal: () in [0, 1]."""
    return -(F.relu(0.5 - 0.5 * cosine) * (1.0 - anneal) + F.relu(-cosine) * anneal)


def alpha_from_density(density: Tensor, dt: Tensor) -> Tensor:
    """Opacity 1 - exp(-density dt) of each interval (NeRF, arXiv:2003.08934, eq. 3); all (S,)."""
    return -torch.expm1(-density * dt)
