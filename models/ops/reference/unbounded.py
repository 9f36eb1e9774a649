"""Intervals along rays around a region of unbounded space, in plain PyTorch: the specification of the fused kernels."""

import torch
from torch import Tensor

from models.ops.contraction import FARTHEST, contract, distance
from models.ops.packing import pack_kept
from utils.rays import Rays, RaySamples


def march_unbounded(
    rays: Rays,
    region: Rays,
    occupied: Tensor,
    radius: float,
    num: tuple[int, int],
    jitter: Tensor,
    ray_mask: Tensor,
    behind_mask: Tensor,
    capacity: int | None,
) -> RaySamples:
    """Intervals as in `models.ops.march_unbounded`, over all rays at once."""
    starts, ends = spread(rays, region, num, jitter, radius)
    mids = 0.5 * (starts + ends)
    points = contract((rays.origins[:, None, :] + rays.directions[:, None, :] * mids[..., None]) / radius)
    G = occupied.shape[0]
    cells = (points * (0.25 * G) + 0.5 * G).long().clamp(0, G - 1)
    keep = occupied[cells[..., 0], cells[..., 1], cells[..., 2]]
    keep[:, num[0]] = True
    keep[:, -1] = True
    keep[:, num[0] + 1 :] &= behind_mask[:, None]
    return pack_kept(keep & (ends > starts) & ray_mask[:, None], starts, ends, capacity)


def spread(rays: Rays, region: Rays, num: tuple[int, int], jitter: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Starts and ends (R, num[0] + 1 + num[1]) of the intervals of `models.ops.march_unbounded`, along the rays."""
    enters, leaves = region.near[:, None], region.far[:, None]
    before = (enters - rays.near[:, None]).clamp(min=0.0)
    behind = (rays.far[:, None] - leaves).clamp(0.0, FARTHEST * radius)
    front = enters - _reach(before, distance(rays, region.near, radius), 1.0 - _shares(num[0], jitter))
    back = leaves + _reach(behind, distance(rays, region.far, radius), _shares(num[1], jitter))
    starts = torch.cat([front[:, :-1], enters, back[:, :-1]], dim=1)
    return starts, torch.cat([front[:, 1:], leaves, back[:, 1:]], dim=1)


def _shares(num: int, jitter: Tensor) -> Tensor:
    """(R, num + 1) edges of num intervals that tile [0, 1], those between two of them moved by the jitter (R,)."""
    edge = torch.arange(num + 1, device=jitter.device, dtype=jitter.dtype)
    return (edge + ((edge > 0) & (edge < num)) * (jitter[:, None] - 0.5)) / max(num, 1)


def _reach(length: Tensor, distance: Tensor, share: Tensor) -> Tensor:
    """How far along a stretch 1 / (distance + x) has fallen by a share of all that it falls from x = 0 to length."""
    return distance * length * share / (distance + length * (1.0 - share))
