"""Pinhole cameras: pixel positions to rays. OpenCV axes; the centre of pixel (x, y) lies at (x + 1/2, y + 1/2)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from utils.rays import Rays


@dataclass(frozen=True)
class Camera:
    """One camera, as arrays, for what is computed of meshes."""

    c2w: np.ndarray  # (3, 4) camera to scene, rotation orthonormal
    intrinsics: np.ndarray  # (4,) fx, fy, cx, cy in pixels
    size: tuple[int, int]  # width, height

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """(P, 3) float64 points (P, 3) in the frame of the camera."""
        return (points - self.c2w[:, 3]) @ self.c2w[:, :3].astype(np.float64)

    def projection_matrix(self) -> np.ndarray:
        """(3, 4) float64 K [R | t]: from homogeneous points to (x, y, 1) in pixels, times the depth."""
        fx, fy, cx, cy = self.intrinsics.tolist()
        rotation = self.c2w[:, :3].T.astype(np.float64)
        extrinsics = np.hstack([rotation, -rotation @ self.c2w[:, 3:]])
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]) @ extrinsics

    def project(self, points: np.ndarray) -> np.ndarray:
        """(P, 3) float64 of points (P, 3): x, y in pixels and the depth along the viewing axis, in scene units; x and y
        mean nothing where the depth is not positive."""
        local = self.to_camera(points)
        depth = local[:, 2:]
        ahead = np.where(depth > 0.0, depth, 1.0)
        return np.hstack([local[:, :2] / ahead * self.intrinsics[:2] + self.intrinsics[2:], depth])

    def in_frame(self, pixels: np.ndarray) -> np.ndarray:
        """(P,) bool: which of what `project` returns, (P, 3), lie within the picture and in front of the camera."""
        within = (pixels[:, :2] >= 0.0) & (pixels[:, :2] < self.size)
        return within.all(axis=1) & (pixels[:, 2] > 0.0)


def plane_positions(xy: Tensor, intrinsics: Tensor) -> Tensor:
    """(..., 3) points of the camera frame (x right, y down, z forward) at depth 1 behind pixel positions (..., 2).

    intrinsics: (..., 4), such that it broadcasts, fx, fy, cx, cy in pixels."""
    plane = (xy - intrinsics[..., 2:]) / intrinsics[..., :2]
    return torch.cat([plane, torch.ones_like(plane[..., :1])], dim=-1)


def pixel_directions(xy: Tensor, intrinsics: Tensor) -> Tensor:
    """(R, 3) unit directions in the camera frame of pixel positions (R, 2); intrinsics: (R, 4) or (4,)."""
    return F.normalize(plane_positions(xy, intrinsics), dim=-1)


def camera_rays(xy: Tensor, c2w: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """Origins (R, 3) and unit directions (R, 3) of the rays through pixel positions `xy` (R, 2).

    c2w: (R, 3, 4) or (3, 4) with orthonormal rotation; intrinsics: (R, 4) or (4,) in pixels."""
    camera = pixel_directions(xy, intrinsics)
    directions = (c2w[..., :3] * camera[:, None, :]).sum(dim=-1)
    return c2w[..., 3].expand_as(directions), directions


def fit_whole(intrinsics: np.ndarray, size: tuple[int, int], other: tuple[int, int]) -> np.ndarray:
    """(4,) fx, fy, cx, cy of a picture of another size, (W, H), that shows at least what one of `size` shows with
    `intrinsics` (4,): no side is cut off, and the same place is in the middle."""
    own, new = np.array(size, np.float64), np.array(other, np.float64)
    scale = (new / own).min()
    focal, centre = np.asarray(intrinsics[:2], np.float64), np.asarray(intrinsics[2:], np.float64)
    return np.concatenate([scale * focal, scale * (centre - 0.5 * own) + 0.5 * new])


def spread_in_pixel(num: int, device: torch.device | str = "cpu") -> Tensor:
    """(num, 2) float32 from -0.5 to 0.5: places in a pixel from its centre, evenly spread, the centre in their middle.

    One in each of `num` columns and one in each of as many rows, which the golden ratio puts in order."""
    order = torch.arange(num, device=device, dtype=torch.float64)
    rows = (order * 0.6180339887498949 % 1.0).argsort().argsort()
    return ((torch.stack([order, rows], dim=-1) + 0.5) / num - 0.5).float()


def pixel_rays(
    column: Tensor,
    row: Tensor,
    c2w: Tensor,
    intrinsics: Tensor,
    near: float,
    far: float,
    shift: Tensor | None = None,
) -> Rays:
    """Rays through the centres of the pixels in columns (R,) and rows (R,), whole numbers; cameras as above.

    shift: (R, 2) pixels to the right and down, from the centres."""
    xy = torch.stack([column, row], dim=-1).to(torch.float32) + 0.5
    xy = xy if shift is None else xy + shift
    origins, directions = camera_rays(xy, c2w, intrinsics)
    start = origins.new_full((len(xy),), near)
    return Rays(origins, directions, start, torch.full_like(start, far))
