"""What a colour network reads of a surface that mirrors, in plain PyTorch: the specification of the fused kernels."""

import math

import torch
from torch import Tensor

from models.ops.mirrors import MirrorSpec
from models.ops.reference.shading import spherical_harmonics
from utils.rays import RaySamples


def reflected_columns(
    feature: Tensor, normal: Tensor, directions: Tensor, packed: RaySamples | None, spec: MirrorSpec
) -> Tensor:
    """Columns as in `models.ops.reflected_columns`."""
    views = directions if packed is None else directions[packed.ray_indices]
    reflected, cosine = reflect(views, normal)
    harmonics = _of_lobe(spherical_harmonics(reflected, spec.degree), spec)
    if spec.offset is not None:
        seen = spherical_harmonics(-directions, spec.degree)
        share = torch.sigmoid(feature[:, -1:].to(harmonics.dtype) + spec.offset)
        feature = feature[:, :-1]
        harmonics = torch.lerp(seen if packed is None else seen[packed.ray_indices], harmonics, share)
    columns = feature, normal, cosine[:, None], harmonics
    dtype = torch.promote_types(normal.dtype, torch.float32)
    return torch.cat([part.to(dtype) for part in columns], dim=-1)


def _of_lobe(harmonics: Tensor, spec: MirrorSpec) -> Tensor:
    """Those of directions (S, degree^2) as means over a lobe around each (Ref-NeRF, arXiv:2112.03907, eq. 8)."""
    orders = harmonics.split([2 * order + 1 for order in range(spec.degree)], dim=-1)
    weights = [math.exp(-0.5 * spec.roughness * order * (order + 1)) for order in range(spec.degree)]
    return torch.cat([weight * columns for weight, columns in zip(weights, orders, strict=True)], dim=-1)


def reflect(directions: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """2 (n . v) n - v, and n . v, for views v = -direction and normals n (Ref-NeRF, arXiv:2112.03907, eq. 4).

    directions, normal: (S, 3), unit length. Returns (S, 3), unit length, pointing away from the surface as v does, and
    (S,) in [-1, 1]. Differentiable in both."""
    cosine = -(directions * normal).sum(-1)
    return directions + 2.0 * cosine[:, None] * normal, cosine
