"""The hash grid in plain PyTorch: the specification that the fast backends are tested against."""

import torch
from torch import Tensor

from models.ops.grid import PRIMES, GridSpec, Level


def hash_encode(
    points: Tensor, table: Tensor, spec: GridSpec, active_levels: int | None, count: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Features and Jacobian as in `models.ops.hash_encode`; here the features are differentiable in the points too."""
    S, F, active = points.shape[0], spec.features_per_level, spec.clip_levels(active_levels)
    features, jacobian = [], []
    for level in spec.levels[:active]:
        entries, sides, slopes = _corners(points, table, level)
        x, y, z = sides.unbind(-1)
        dx, dy, dz = slopes.unbind(-1)
        slope = torch.stack([dx * y * z, x * dy * z, x * y * dz], dim=-1)  # (S, 8, 3)
        features.append(torch.einsum("sc,scf->sf", x * y * z, entries))
        jacobian.append(torch.einsum("scd,scf->sdf", slope, entries))
    rest = (spec.num_levels - active) * F
    features.append(_zero(table).expand(S, rest))
    jacobian.append(_zero(table).expand(S, 3, rest))
    return torch.cat(features, dim=-1), torch.cat(jacobian, dim=-1).transpose(1, 2)


def hash_features(
    points: Tensor, table: Tensor, spec: GridSpec, active_levels: int | None, count: Tensor | None = None
) -> Tensor:
    """Features as in `models.ops.hash_features`, padding included; here differentiable in the points too."""
    S, F, active = points.shape[0], spec.features_per_level, spec.clip_levels(active_levels)
    features = []
    for level in spec.levels[:active]:
        entries, sides, _ = _corners(points, table, level)
        features.append(torch.einsum("sc,scf->sf", sides.prod(dim=-1), entries))
    features.append(_zero(table).expand(S, (spec.num_levels - active) * F))
    return torch.cat(features, dim=-1)


def _zero(table: Tensor) -> Tensor:
    """A scalar zero that depends on the table, so that a backward without active levels gives zeros, not an error."""
    return table[:0].sum()


def _corners(points: Tensor, table: Tensor, level: Level) -> tuple[Tensor, Tensor, Tensor]:
    """The 8 corners around each point: entries (S, 8, F), weights per axis (S, 8, 3), their slopes (S, 8, 3)."""
    position = points.clamp(0.0, 1.0) * level.scale + 0.5
    cell = position.detach().floor()
    fraction = (position - cell)[:, None, :]  # (S, 1, 3)
    axes = torch.arange(3, device=points.device)
    upper = (torch.arange(8, device=points.device)[:, None] >> axes) & 1  # (8, 3), 1 on the far side of an axis
    index = _index(cell.long()[:, None, :] + upper, level)
    inside = ((points >= 0.0) & (points <= 1.0)).to(points.dtype)[:, None, :]  # constant beyond the border
    sides = torch.where(upper.bool(), fraction, 1.0 - fraction)
    slopes = (2 * upper - 1) * (inside * level.scale)
    return table[index], sides, slopes


def _index(vertex: Tensor, level: Level) -> Tensor:
    """Rows of the table, int64, for integer vertices (..., 3)."""
    x, y, z = vertex.unbind(-1)
    if level.dense:
        index = x + level.resolution * (y + level.resolution * z)
    else:
        index = (x * PRIMES[0]) ^ (y * PRIMES[1]) ^ (z * PRIMES[2])
    return index % level.size + level.offset
