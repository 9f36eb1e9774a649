"""Counts the photographs that have a point in frame."""

import torch
from torch import Tensor

from utils.rays import Photographs


@torch.no_grad()
def count_views(points: Tensor, reach: Tensor, photographs: Photographs, heights: Tensor, most: int) -> Tensor:
    """(P,) int64: the number of photographs that have some of the ball of radius reach (P,) around points (P, 3)
    in frame, counted no further than `most`.

    heights: (N,) of the photographs in pixels. Ignores occlusion. Approximates the projections of balls by discs that
    are a little too large towards the edge of a wide-angle image, so that it counts too many rather than too few."""
    counts = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    left = torch.arange(len(points), device=points.device)  # points that are still counted: soon few of an object's
    for c2w, intrinsics, width, height in zip(
        photographs.c2w, photographs.intrinsics, photographs.widths, heights, strict=True
    ):
        if not len(left):
            break
        local, around = (points[left] - c2w[:, 3]) @ c2w[:, :3], reach[left]
        depth = local[:, 2].clamp(min=1e-6)
        pixels = local[:, :2] / depth[:, None] * intrinsics[:2] + intrinsics[2:]
        oblique = 1.0 + (local[:, :2] / depth[:, None]).square().sum(-1, keepdim=True)
        slack = (around / depth)[:, None] * oblique * intrinsics[:2]
        size = torch.stack([width, height]).to(pixels.dtype)
        in_frame = ((pixels >= -slack) & (pixels <= size + slack)).all(-1)
        contains_camera = local.norm(dim=-1) <= around
        counts[left] += (in_frame & (local[:, 2] > 0.0)) | contains_camera
        left = left[counts[left] < most]
    return counts
