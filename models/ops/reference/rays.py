"""Marching and compositing in plain PyTorch: the specification that the fast backends are tested against."""

import torch
from torch import Tensor

from models.ops.packing import max_intervals, pack_kept
from utils.rays import Rays, RaySamples


def march(rays: Rays, occupied: Tensor, radius: float, step: float, jitter: Tensor, capacity: int | None) -> RaySamples:
    """Intervals in occupied cells as in `models.ops.march`, over all rays and all lattice intervals at once."""
    G, K = occupied.shape[0], max_intervals(radius, step)
    lattice = torch.arange(K + 1, device=jitter.device, dtype=jitter.dtype) + (jitter - 1.0)[:, None]
    near, far = rays.near[:, None], rays.far[:, None]
    edges = (near + lattice * step).clamp(near, far)  # (R, K + 1)
    starts, ends = edges[:, :-1], edges[:, 1:]
    mids = 0.5 * (starts + ends)
    points = rays.origins[:, None, :] + rays.directions[:, None, :] * mids[..., None]
    cells = (points * (0.5 * G / radius) + 0.5 * G).long().clamp(0, G - 1)  # as integers: a NaN passes a float clamp
    keep = occupied[cells[..., 0], cells[..., 1], cells[..., 2]] & (ends > starts)
    return pack_kept(keep, starts, ends, capacity)


def composite(alpha: Tensor, values: tuple[Tensor, ...], packed: RaySamples, faint: float = 0.0) -> tuple[Tensor, ...]:
    """Weights, opacity, distance and sums as in `models.ops.composite`."""
    valid = packed.valid
    alpha = torch.where(valid, alpha, 0.0)
    if faint > 0.0:
        seen = _transmittance(alpha.detach(), packed) >= faint
        alpha = torch.where(seen, alpha, alpha.detach())
        values = tuple(torch.where(seen if v.ndim == 1 else seen[:, None], v, v.detach()) for v in values)
    weights = alpha * _transmittance(alpha, packed)

    def over_ray(part: Tensor) -> Tensor:
        weighted = (weights * torch.where(valid, part.movedim(0, -1), 0.0)).movedim(-1, 0)
        return weighted.new_zeros(packed.ray_start.shape[0], *part.shape[1:]).index_add(0, packed.ray_indices, weighted)

    opacity = weights.new_zeros(packed.ray_start.shape[0]).index_add(0, packed.ray_indices, weights)
    return weights, opacity, over_ray(packed.t_mids), *map(over_ray, values)


def _transmittance(alpha: Tensor, packed: RaySamples) -> Tensor:
    """(S,) product of (1 - alpha) over the samples of the same ray that lie in front.

    A prefix product by doubling: unlike exp(cumsum(log(1 - alpha))), it and its gradient are exact at alpha = 1."""
    S = alpha.shape[0]
    position = _position(packed)
    product = torch.where(position >= 1, _shift(1.0 - alpha, 1), 1.0)
    reach = 1
    while reach < S:
        product = torch.where(position >= reach, product * _shift(product, reach), product)
        reach *= 2
    return product


def _position(packed: RaySamples) -> Tensor:
    """(S,) int64, place of a sample within its ray; meaningless on padding."""
    index = torch.arange(packed.ray_indices.shape[0], device=packed.ray_indices.device)
    return index - packed.ray_start[packed.ray_indices]


def _shift(x: Tensor, distance: int) -> Tensor:
    """x moved towards the end by `distance` places, ones before it."""
    return torch.cat([x.new_ones(min(distance, x.shape[0])), x[: max(x.shape[0] - distance, 0)]])


def distortion(weights: Tensor, packed: RaySamples) -> Tensor:
    """Distortion per ray as in `models.ops.distortion`, by prefix sums instead of all pairs."""
    R = packed.ray_start.shape[0]
    mids = packed.t_mids.double()
    w = torch.where(packed.valid, weights, 0.0).double()
    # For sorted mids, sum_ij w_i w_j |m_i - m_j| = 2 sum_i w_i (m_i sum_{j<i} w_j - sum_{j<i} w_j m_j). The prefix
    # sums run over all rays in float64: what lies before a ray is taken off again.
    pair = 2.0 * w * (mids * _prefix(w, packed) - _prefix(w * mids, packed))
    own = w.square() * (packed.t_ends - packed.t_starts).double() / 3.0
    return weights.new_zeros(R).index_add(0, packed.ray_indices, (pair + own).to(weights.dtype))


def _prefix(x: Tensor, packed: RaySamples) -> Tensor:
    """(S,) sum of x over the samples of the same ray that lie in front."""
    before = torch.cat([x.new_zeros(1), x.cumsum(0)])[:-1]
    # Padding takes itself off. As part of its ray, the first, it would make one sum of a hundred thousand gradients.
    index = torch.arange(x.shape[0], device=x.device)
    first = torch.where(packed.valid, packed.ray_start[packed.ray_indices], index)
    return before - before.index_select(0, first)
