"""Counts the photographs that have a point in frame."""

import torch
from torch import Tensor

from utils.rays import Photographs


@torch.no_grad()
def count_views(points: Tensor, reach: Tensor, photographs: Photographs, heights: Tensor) -> Tensor:
    """(P,) int64: the number of photographs that have some of the ball of radius reach (P,) around points (P, 3)
    in frame.

    heights: (N,) of the photographs in pixels. Ignores occlusion. Approximates the projections of balls by discs that
    are a little too large towards the edge of a wide-angle image, so that it counts too many rather than too few."""
    counts = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    for c2w, intrinsics, width, height in zip(
        photographs.c2w, photographs.intrinsics, photographs.widths, heights, strict=True
    ):
        local = (points - c2w[:, 3]) @ c2w[:, :3]
        depth = local[:, 2].clamp(min=1e-6)
        pixels = local[:, :2] / depth[:, None] * intrinsics[:2] + intrinsics[2:]
        oblique = 1.0 + (local[:, :2] / depth[:, None]).square().sum(-1, keepdim=True)
        slack = (reach / depth)[:, None] * oblique * intrinsics[:2]
        size = torch.stack([width, height]).to(pixels.dtype)
        in_frame = ((pixels >= -slack) & (pixels <= size + slack)).all(-1)
        contains_camera = local.norm(dim=-1) <= reach
        counts += (in_frame & (local[:, 2] > 0.0)) | contains_camera
    return counts
