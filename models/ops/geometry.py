"""Closed forms that need no kernel of their own: rays cut to a box, and spherical harmonics."""

import math

import torch
from torch import Tensor

from utils.rays import Rays


def clip_rays_to_box(rays: Rays, radius: float) -> Rays:
    """The rays with `near` and `far` cut to the cube [-radius, radius]^3; near >= far where a ray misses it.

    Reads nothing on the host. A ray parallel to a face is handled as the limit of its neighbours."""
    # A zero component becomes the smallest slope whose inverse is finite: 0 * inf would be NaN.
    tiny = torch.finfo(rays.directions.dtype).tiny
    directions = torch.where(rays.directions.abs() < tiny, tiny, rays.directions)
    inverse = 1.0 / directions
    low, high = (-radius - rays.origins) * inverse, (radius - rays.origins) * inverse
    enter = torch.minimum(low, high).amax(dim=-1)
    leave = torch.maximum(low, high).amin(dim=-1)
    return Rays(rays.origins, rays.directions, torch.maximum(rays.near, enter), torch.minimum(rays.far, leave))


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
