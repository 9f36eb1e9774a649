"""What brings rays and samples together, in plain PyTorch: the specification of the fused kernels."""

import torch
from torch import Tensor

from utils.rays import Packed, Rays


def sample_points(rays: Rays, packed: Packed) -> Tensor:
    """Points as in `models.ops.sample_points`."""
    ray = packed.ray_index
    return torch.addcmul(rays.origins[ray], packed.t_mids[:, None], rays.directions[ray])


def join(parts: tuple[Tensor, ...], per_ray: Tensor | None, packed: Packed | None) -> Tensor:
    """Columns as in `models.ops.join`."""
    columns = [part.float() if part.ndim == 2 else part[:, None].float() for part in parts]
    if per_ray is not None:
        columns.append(per_ray.float() if packed is None else per_ray[packed.ray_index].float())
    return torch.cat(columns, dim=-1)
