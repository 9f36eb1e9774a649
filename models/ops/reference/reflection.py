"""Harmonics of reflected directions in plain PyTorch: the specification of the fused kernels."""

import math

import torch
from torch import Tensor

from models.ops.reference.shading import spherical_harmonics
from utils.rays import RaySamples


def reflected_harmonics(
    directions: Tensor, normal: Tensor, packed: RaySamples | None, degree: int, roughness: float
) -> Tensor:
    """Cosine and harmonics as in `models.ops.reflected_harmonics`."""
    views = directions if packed is None else directions[packed.ray_indices]
    reflected, cosine = reflect(views, normal)
    orders = spherical_harmonics(reflected, degree).split([2 * order + 1 for order in range(degree)], dim=-1)
    lobe = [math.exp(-0.5 * roughness * order * (order + 1)) * columns for order, columns in enumerate(orders)]
    return torch.cat([cosine[:, None], *lobe], dim=-1)


def reflect(directions: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """2 (n . v) n - v, and n . v, for views v = -direction and normals n (Ref-NeRF, arXiv:2112.03907, eq. 4).

    directions, normal: (S, 3), unit length. Returns (S, 3), unit length, pointing away from the surface as v does, and
    (S,) in [-1, 1]. Differentiable in both."""
    cosine = -(directions * normal).sum(-1)
    return directions + 2.0 * cosine[:, None] * normal, cosine
