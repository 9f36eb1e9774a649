"""Pinhole cameras: pixel positions to rays. OpenCV axes; the centre of pixel (x, y) lies at (x + 1/2, y + 1/2)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from utils.rays import Rays


def pixel_directions(xy: Tensor, intrinsics: Tensor) -> Tensor:
    """(R, 3) unit directions in the camera frame (x right, y down, z forward).

    xy: (R, 2) pixel positions; intrinsics: (R, 4) or (4,) fx, fy, cx, cy in pixels."""
    plane = (xy - intrinsics[..., 2:]) / intrinsics[..., :2]
    return F.normalize(torch.cat([plane, torch.ones_like(plane[:, :1])], dim=-1), dim=-1)


def camera_rays(xy: Tensor, c2w: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """Origins (R, 3) and unit directions (R, 3) of the rays through pixel positions `xy` (R, 2).

    c2w: (R, 3, 4) or (3, 4) with orthonormal rotation; intrinsics: (R, 4) or (4,) in pixels."""
    camera = pixel_directions(xy, intrinsics)
    directions = (c2w[..., :3] * camera[:, None, :]).sum(dim=-1)
    return c2w[..., 3].expand_as(directions), directions


def pixel_rays(column: Tensor, row: Tensor, c2w: Tensor, intrinsics: Tensor, near: float, far: float) -> Rays:
    """Rays through the centres of the pixels in columns (R,) and rows (R,), whole numbers; cameras as above."""
    xy = torch.stack([column, row], dim=-1).to(torch.float32) + 0.5
    origins, directions = camera_rays(xy, c2w, intrinsics)
    start = origins.new_full((len(xy),), near)
    return Rays(origins, directions, start, torch.full_like(start, far))
