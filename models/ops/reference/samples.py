"""Values of rays and of samples combined, in plain PyTorch: the specification of the fused kernels."""

from dataclasses import replace

import torch
from torch import Tensor

from utils.rays import Rays, RaySamples


def clip_rays_to_box(rays: Rays, radius: float) -> Rays:
    """Bounds as in `models.ops.clip_rays_to_box`."""
    # A zero component becomes the smallest slope whose inverse is finite: 0 * inf would be NaN.
    tiny = torch.finfo(rays.directions.dtype).tiny
    directions = torch.where(rays.directions.abs() < tiny, tiny, rays.directions)
    inverse = 1.0 / directions
    low, high = (-radius - rays.origins) * inverse, (radius - rays.origins) * inverse
    enter = torch.minimum(low, high).amax(dim=-1)
    leave = torch.maximum(low, high).amin(dim=-1)
    return replace(rays, near=torch.maximum(rays.near, enter), far=torch.minimum(rays.far, leave))


def clip_rays_to_ball(rays: Rays, radius: float) -> Rays:
    """Bounds as in `models.ops.clip_rays_to_ball`."""
    middle = -(rays.origins * rays.directions).sum(-1)
    # squared distance of the closest point; |o|^2 - middle^2 would cancel for a camera far away
    offset = torch.addcmul(rays.origins, middle[:, None], rays.directions).square().sum(-1)
    half = (radius * radius - offset).clamp(min=0.0).sqrt()
    near, far = torch.maximum(rays.near, middle - half), torch.minimum(rays.far, middle + half)
    hit = far > near
    return replace(rays, near=torch.where(hit, near, rays.near), far=torch.where(hit, far, rays.near))


def sample_points(rays: Rays, packed: RaySamples) -> Tensor:
    """Points as in `models.ops.sample_points`."""
    ray = packed.ray_indices
    return torch.addcmul(rays.origins[ray], packed.t_mids[:, None], rays.directions[ray])


def concat_columns(parts: tuple[Tensor, ...], per_ray: Tensor | None, packed: RaySamples | None) -> Tensor:
    """Columns as in `models.ops.concat_columns`."""
    columns = [part if part.ndim == 2 else part[:, None] for part in parts]
    if per_ray is not None:
        columns.append(per_ray if packed is None else per_ray[packed.ray_indices])
    columns = [column.to(torch.promote_types(column.dtype, torch.float32)) for column in columns]
    return torch.cat(columns, dim=-1)
