"""Rays and colours of pixels in plain PyTorch."""

import torch
from torch import Tensor

from utils.cameras import camera_rays
from utils.rays import Photographs, RayBatch, Rays


def look_up(photographs: Photographs, pixel: Tensor, image: Tensor, background: Tensor) -> RayBatch:
    """Rays and colours as in `models.ops.look_up`."""
    within, width = pixel - photographs.starts[image], photographs.widths[image]
    xy = torch.stack([within % width, within // width], dim=-1).to(torch.float32) + 0.5
    origins, directions = camera_rays(xy, photographs.c2w[image], photographs.intrinsics[image])
    near = origins.new_full((len(xy),), photographs.near)
    rays = Rays(origins, directions, near, torch.full_like(near, photographs.far))
    colour = photographs.pixels[pixel].to(torch.float32) / 255.0
    if colour.shape[1] == 3:
        return RayBatch(rays, colour, None, background)
    alpha = colour[:, 3:]
    return RayBatch(rays, colour[:, :3] * alpha + background * (1.0 - alpha), alpha[:, 0], background)
