"""What all marches share: the lattice of intervals along a ray, and packing into a fixed capacity."""

import math

import torch
from torch import Tensor

from utils.rays import RaySamples


def max_intervals(radius: float, step: float) -> int:
    """Number of lattice intervals that reach through the cube of half edge `radius` along its diagonal."""
    return math.ceil(2.0 * math.sqrt(3.0) * radius / step) + 1


def fit_capacity(counts: Tensor, capacity: int | None) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """Which rays fit: (ray_start (R,), ray_count (R,), within_budget (R,) bool, num_samples (), S), from their numbers
    of samples (R,) int64.

    The inclusive prefix sum decides, so the rays that fit are the first ones. Without a capacity all fit, and the host
    reads S."""
    inclusive = counts.cumsum(0)
    if capacity is None:
        S = int(inclusive[-1]) if counts.shape[0] else 0
        within_budget = torch.ones_like(counts, dtype=torch.bool)
    else:
        S = capacity
        within_budget = inclusive <= S
    ray_count = torch.where(within_budget, counts, 0)
    ray_start = ray_count.cumsum(0) - ray_count
    return ray_start, ray_count, within_budget, ray_count.sum(), S


def allocate_samples(counts: Tensor, capacity: int | None, dtype: torch.dtype) -> RaySamples:
    """Samples of the rays that fit, all zeros like padding; the march then writes those in use."""
    ray_start, ray_count, within_budget, count, S = fit_capacity(counts, capacity)
    ray_indices = counts.new_zeros(S)
    t_starts, t_ends = counts.new_zeros(2, S, dtype=dtype)
    return RaySamples(ray_indices, t_starts, t_ends, ray_start, ray_count, within_budget, count)


def pack_kept(keep: Tensor, starts: Tensor, ends: Tensor, capacity: int | None) -> RaySamples:
    """The intervals to keep, of the rays that fit the capacity; keep (bool), starts, ends: (R, K)."""
    ray_start, ray_count, within_budget, count, S = fit_capacity(keep.sum(dim=1), capacity)
    # All others go to one slot behind the end, which is then cut off: no shape depends on data.
    slots = torch.where(keep & within_budget[:, None], ray_start[:, None] + keep.cumsum(dim=1) - 1, S).reshape(-1)
    ray = torch.arange(len(keep), device=keep.device)[:, None].expand_as(keep)

    def pack(field: Tensor) -> Tensor:
        return field.new_zeros(S + 1).scatter(0, slots, field.reshape(-1))[:S]

    return RaySamples(pack(ray), pack(starts), pack(ends), ray_start, ray_count, within_budget, count)
