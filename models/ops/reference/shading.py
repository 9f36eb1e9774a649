"""Opacity of samples and directional harmonics in plain PyTorch: the specification of the fused kernels."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from utils.rays import RaySamples

SHARPNESS = 1e-6, 1e6  # the least and the greatest, in 1 / scene unit


def neus_alpha(
    sdf: Tensor, gradient: Tensor, directions: Tensor, packed: RaySamples, inv_s: Tensor, anneal: Tensor
) -> tuple[Tensor, Tensor]:
    """Opacity and normal as in `models.ops.neus_alpha`."""
    normal = F.normalize(gradient, dim=-1, eps=1e-6)
    cosine = annealed_cosine((directions[packed.ray_indices] * normal).sum(-1), anneal)
    return alpha_from_sdf(sdf, cosine, packed.t_ends - packed.t_starts, inv_s) * packed.valid, normal


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


def sharpness(raw: Tensor) -> Tensor:
    """inv_s as in `models.ops.sharpness`."""
    return torch.exp(raw * 10.0).clamp(*SHARPNESS)


class _TruncatedExp(torch.autograd.Function):
    """exp whose gradient is cut off at exp(15) (as in torch-ngp), so that one bad sample cannot blow up a step."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.exp(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * torch.exp(x.clamp(max=15.0))


def density_from_raw(raw: Tensor, activation: str) -> Tensor:
    """Density as in `models.ops.density_from_raw`."""
    return _TruncatedExp.apply(raw) if activation == "trunc_exp" else F.softplus(raw)


def alpha_from_density(density: Tensor, dt: Tensor | float) -> Tensor:
    """Opacity as in `models.ops.alpha_from_density`."""
    return -torch.expm1(-density * dt)


def density_alpha(density: Tensor, packed: RaySamples) -> Tensor:
    """Opacity as in `models.ops.density_alpha`."""
    return torch.where(packed.valid, alpha_from_density(density, packed.t_ends - packed.t_starts), 0.0)


def spherical_harmonics(directions: Tensor, degree: int) -> Tensor:
    """Real spherical harmonics of all orders below `degree`, orthonormal on the sphere.

    directions: (S, 3), unit length. Returns (S, degree^2), column l^2 + l + m, with the Condon-Shortley sign (-1)^m:
    0.282, -0.489 y, 0.489 z, -0.489 x, 1.093 xy, ... as NeRF codes use it. Differentiable; directions are not
    normalised here."""
    x, y, z = directions.unbind(-1)
    columns: list[Tensor | None] = [None] * degree**2
    cosine, sine = torch.ones_like(x), torch.zeros_like(x)  # real and imaginary part of (x + iy)^m
    sectoral = 1.0  # P_m^m without its factor (1 - z^2)^(m/2)
    for m in range(degree):
        below, legendre = torch.zeros_like(z), torch.full_like(z, sectoral)
        for order in range(m, degree):
            norm = (2 * order + 1) / (4.0 * math.pi) * math.factorial(order - m) / math.factorial(order + m)
            centre = order * order + order
            if m == 0:
                columns[centre] = math.sqrt(norm) * legendre
            else:
                columns[centre + m] = math.sqrt(2.0 * norm) * legendre * cosine
                columns[centre - m] = math.sqrt(2.0 * norm) * legendre * sine
            step = order + 1 - m  # Bonnet's recursion in the order, at fixed m
            below, legendre = legendre, ((2 * order + 1) * z * legendre - (order + m) * below) / step
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
        sectoral *= -(2 * m + 1)
    return torch.stack([column for column in columns if column is not None], dim=-1)
