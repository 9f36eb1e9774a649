"""Small corrections of the cameras of photographs, learned with the scene that they see."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.photographs.lookup import rows_of
from models.photographs.photometry import cameras_of, nearest_camera
from utils.rays import Photographs, Rays


class CameraCorrections(nn.Module):
    """Three numbers of a turn and three of a shift for each photograph, and a factor of the focal length for each
    camera; none of them moves anything at first (BARF, arXiv:2104.06405, section 3.1; with lenses SCNeRF,
    arXiv:2108.13826, section 4.1).

    Together they do not move the scene: of the shifts, what a similarity does to all camera centres is taken off, so a
    mesh stays in the coordinates of the cameras that were given."""

    def __init__(self, c2w: Tensor, lens: Tensor, cameras: Tensor) -> None:
        """c2w: (N, 3, 4) in the scene frame; lens: (N,) int64, rows of cameras (C, 6), see `cameras_of`."""
        super().__init__()
        self.turns = nn.Parameter(torch.zeros_like(c2w[:, :, 0]))  # (N, 3) radians, in the scene frame
        self.shifts = nn.Parameter(torch.zeros_like(self.turns))  # (N, 3) by the mean distance from the middle of all
        self.log_focal = nn.Parameter(torch.zeros_like(cameras[:, 0]))  # (C,)
        self.register_buffer("given", c2w.clone())
        self.register_buffer("lens", lens)
        self.register_buffer("cameras", cameras)
        away = c2w[:, :, 3] - c2w[:, :, 3].mean(dim=0)
        self.register_buffer("reach", away.norm(dim=-1).mean(), persistent=False)
        self.register_buffer("gauge", similarity_modes(away), persistent=False)

    @classmethod
    def of(cls, photographs: Photographs, heights: Tensor) -> "CameraCorrections":
        """Those of photographs with heights (N,) pixels; the ones of a camera share a lens."""
        cameras = cameras_of(photographs, heights)
        return cls(photographs.c2w, nearest_camera(photographs, heights, cameras), cameras)

    @classmethod
    def like(cls, state: Mapping[str, Tensor]) -> "CameraCorrections | None":
        """New ones for the cameras in the state of a system, "poses.<name>"; None if it has none."""
        if "poses.given" not in state:
            return None
        return cls(state["poses.given"], state["poses.lens"], state["poses.cameras"])

    @property
    def free_shifts(self) -> Tensor:
        """(N, 3) shifts in scene units, less what a similarity would do."""
        flat = self.shifts.flatten()
        return self.reach * (flat - self.gauge @ (self.gauge.T @ flat)).view_as(self.shifts)

    def forward(self, rays: Rays, image: Tensor) -> Rays:
        """Rays (R) of photographs (R,) int64 as the corrected cameras send them; differentiable in the corrections."""
        ahead = self.given[image, :, 2]
        along = (rays.directions * ahead).sum(-1, keepdim=True) * ahead
        narrower = (-rows_of(self.log_focal, self.lens[image])).exp()[:, None]
        directions = F.normalize(along + narrower * (rays.directions - along), dim=-1)
        origins = rays.origins + rows_of(self.free_shifts, image)
        return replace(rays, origins=origins, directions=turn(rows_of(self.turns, image), directions))

    def corrected(self, photographs: Photographs) -> Photographs:
        """These photographs with corrected cameras; differentiable in the corrections."""
        columns = [turn(self.turns, column) for column in photographs.c2w[:, :, :3].unbind(-1)]
        c2w = torch.stack([*columns, photographs.c2w[:, :, 3] + self.free_shifts], dim=-1)
        return replace(photographs, c2w=c2w, intrinsics=self._refocused(photographs.intrinsics, self.lens))

    def fits(self, photographs: Photographs) -> bool:
        """Whether these are the photographs that the corrections were learned for, with the cameras that these had."""
        there = photographs.c2w
        return there.shape == self.given.shape and torch.allclose(there, self.given, rtol=0.0, atol=1e-4)

    def others(self, photographs: Photographs, heights: Tensor) -> Photographs:
        """Photographs that were held out, with the corrected focal lengths of the cameras that they share."""
        lens = nearest_camera(photographs, heights, self.cameras)
        return replace(photographs, intrinsics=self._refocused(photographs.intrinsics, lens))

    def summary(self) -> dict[str, float | list[float]]:
        """How far the cameras have moved, medians: degrees, and a share of their distance; factors of focal lengths."""
        reach = self.reach.clamp(min=1e-12)
        return {
            "turn_degrees": float(torch.rad2deg(self.turns.norm(dim=-1)).median()),
            "shift_share": float((self.free_shifts / reach).norm(dim=-1).median()),
            "focal_factors": self.log_focal.exp().tolist(),
        }

    def _refocused(self, intrinsics: Tensor, lens: Tensor) -> Tensor:
        factors = torch.cat([self.log_focal, self.log_focal.new_zeros(1)])[lens].exp()
        return torch.cat([intrinsics[:, :2] * factors[:, None], intrinsics[:, 2:]], dim=-1)


def turn(rotation: Tensor, vectors: Tensor) -> Tensor:
    """Vectors (R, 3) turned by rotation vectors (R, 3) in radians (Rodrigues' formula); smooth at 0 too."""
    half = 0.5 * (rotation.square().sum(-1, keepdim=True) + 1e-16).sqrt()  # of the angle
    once = torch.linalg.cross(rotation, vectors)
    share = half.sin() / half
    return vectors + share * half.cos() * once + 0.5 * share.square() * torch.linalg.cross(rotation, once)


def similarity_modes(away: Tensor) -> Tensor:
    """(3 N, 7) orthonormal columns: how points move when all are shifted, turned or scaled together; a column of zeros
    for what does not move them, such as a turn around the line that all lie on.

    away: (N, 3) from their middle."""
    points = away.double()
    axes = torch.eye(3, dtype=points.dtype, device=points.device)[:, None, :].expand(3, len(points), 3)
    modes = torch.cat([axes, torch.linalg.cross(axes, points.expand_as(axes)), points[None]]).flatten(1)
    modes = modes / modes.norm(dim=1, keepdim=True).clamp(min=1e-12)
    left, strength, _ = torch.linalg.svd(modes.T, full_matrices=False)
    return (left * (strength > 1e-6 * strength.max())).to(away.dtype)
