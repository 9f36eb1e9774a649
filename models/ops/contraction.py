"""Unbounded space contracted into a ball, in plain PyTorch for all backends but where rays meet the ball."""

from dataclasses import replace

from torch import Tensor

from models.ops.backends import module
from utils.rays import Rays, RaySamples

FARTHEST = 1000.0  # regions (in units of their radius) from the origin: 0.1 % of the contracted radius before its end


def contract(points: Tensor) -> Tensor:
    """All of space in a ball of radius 2: x inside of the unit sphere, (2 - 1 / |x|) x / |x| beyond (mip-NeRF 360,
    arXiv:2111.12077, eq. 10). points: (..., 3)."""
    norm = points.norm(dim=-1, keepdim=True).clamp(min=1.0)
    return points * ((2.0 - 1.0 / norm) / norm)


def uncontract(points: Tensor) -> Tensor:
    """The inverse of `contract`, for points (..., 3) within 2 of the origin."""
    norm = points.norm(dim=-1, keepdim=True).clamp(min=1.0)
    return points / (norm * (2.0 - norm))


def clip_rays_to_ball(rays: Rays, radius: float, *, backend: str = "auto") -> Rays:
    """The rays with `near` and `far` cut to the ball of a radius around the origin; empty, at near, where they miss it.

    Reads nothing on the host."""
    return module("samples", backend, rays.near).clip_rays_to_ball(rays, radius)


def normalized_distances(rays: Rays, region: Rays, packed: RaySamples, radius: float) -> RaySamples:
    """Intervals of `march_unbounded`, for the same rays, with normalised inverse distances in place of distances: -1
    far in front of the region, 0 in it, 1 far behind it."""
    ray = packed.ray_indices
    enters, leaves = region.near[ray], region.far[ray]
    before = distance(rays, region.near, radius)[ray, 0]
    behind = distance(rays, region.far, radius)[ray, 0]

    def share(t: Tensor) -> Tensor:
        in_front = before / (before + (enters - t).clamp(min=0.0)) - 1.0
        return in_front + 1.0 - behind / (behind + (t - leaves).clamp(min=0.0))

    return replace(packed, t_starts=share(packed.t_starts), t_ends=share(packed.t_ends))


def distance(rays: Rays, t: Tensor, radius: float) -> Tensor:
    """(R, 1) distance from the origin of the points at t (R,), at least the radius."""
    return (rays.origins + t[:, None] * rays.directions).norm(dim=-1, keepdim=True).clamp(min=radius)
