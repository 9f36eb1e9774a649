"""Unbounded space in a ball, and intervals along rays through it, in plain PyTorch for all backends."""

from dataclasses import replace

import torch
from torch import Tensor

from models.ops.packing import pack_kept
from utils.rays import Packed, Rays

FARTHEST = 1000.0  # regions (in units of their radius) from the origin: 0.1 % of the contracted radius before its end


def contract(points: Tensor) -> Tensor:
    """Points as in `models.ops.contract`."""
    norm = points.norm(dim=-1, keepdim=True).clamp(min=1.0)
    return points * ((2.0 - 1.0 / norm) / norm)


def uncontract(points: Tensor) -> Tensor:
    """The inverse of `contract` in the open ball of radius 2."""
    norm = points.norm(dim=-1, keepdim=True).clamp(min=1.0)
    return points / (norm * (2.0 - norm))


def spread(rays: Rays, num: int, jitter: Tensor, radius: float) -> Tensor:
    """(R, num + 1) edges of the intervals of `models.ops.march_unbounded`, distances along the rays."""
    near, distance = rays.near[:, None], _distance(rays, radius)[:, None]
    length = (rays.far[:, None] - near).clamp(0.0, FARTHEST * radius)
    share = torch.arange(num + 1, device=near.device, dtype=near.dtype) / num
    shift = (jitter[:, None] - 0.5) / num
    share = torch.where((share > 0.0) & (share < 1.0), share + shift, share)
    # 1 / (distance + t - near) falls in equal steps from 1 / distance to 1 / (distance + length)
    return near + distance * length * share / (distance + length * (1.0 - share))


def inverse_shares(rays: Rays, packed: Packed, radius: float) -> Packed:
    """Intervals as in `models.ops.inverse_shares`."""
    near, distance = rays.near[packed.ray_index], _distance(rays, radius)[packed.ray_index]

    def share(t: Tensor) -> Tensor:
        return 1.0 - distance / (distance + (t - near).clamp(min=0.0))

    return replace(packed, t_starts=share(packed.t_starts), t_ends=share(packed.t_ends))


def _distance(rays: Rays, radius: float) -> Tensor:
    """(R,) distance from the origin at near, at least the radius."""
    return (rays.origins + rays.near[:, None] * rays.directions).norm(dim=-1).clamp(min=radius)


def march_unbounded(
    rays: Rays,
    occupied: Tensor,
    radius: float,
    num: int,
    jitter: Tensor,
    wanted: Tensor,
    capacity: int | None,
) -> Packed:
    """Intervals as in `models.ops.march_unbounded`, over all rays at once."""
    edges = spread(rays, num, jitter, radius)
    starts, ends = edges[:, :-1], edges[:, 1:]
    mids = 0.5 * (starts + ends)
    points = contract((rays.origins[:, None, :] + rays.directions[:, None, :] * mids[..., None]) / radius)
    G = occupied.shape[0]
    cells = (points * (0.25 * G) + 0.5 * G).long().clamp(0, G - 1)
    keep = occupied[cells[..., 0], cells[..., 1], cells[..., 2]]
    keep[:, -1] = True
    return pack_kept(keep & (ends > starts) & wanted[:, None], starts, ends, capacity)
