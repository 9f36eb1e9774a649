"""Photographs of a point agree where the surface lies: a loss that compares patches across views (Geo-NeuS,
arXiv:2205.15848, section 3.3; patches by plane-induced homographies as in Furukawa & Ponce 2010)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.base import RenderOutput
from systems.loss_config import LossConfig
from systems.losses import require
from utils.cameras import plane_positions
from utils.rays import Photographs, RayBatch, RaySamples, SourceViews
from utils.registry import register

MIN_FACING = 0.1  # cosine between a normal and the direction to a camera, below which a patch is too oblique
MIN_CONTRAST = 0.01  # standard deviation of grey in [0, 1], below which a patch has no texture to match
MIN_SHARE = 0.25  # share of the pixels of a patch within the mask, below which it is not compared
MIN_DEPTH = 0.01  # of a patch in a source view, as a share of its depth in its own view
NO_SCORE = 2.0  # error of a pair that cannot be compared; real errors are at most 1


@dataclass(frozen=True)
class Crossings:
    """Where rays first enter the surface; differentiable in the sdf and its gradient."""

    ray: Tensor  # (n,) int64
    usable: Tensor  # (n,) bool, False beyond the rays that cross the surface; values there are finite but meaningless
    distance: Tensor  # (n,) along the ray, scene units
    normal: Tensor  # (n, 3) unit length, outward


@register("loss", "ncc")
def ncc(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """1 - normalised cross-correlation of the patch around a pixel with the same patch in neighbouring views, taking
    the surface for a plane where the ray meets it; mean of the best views (Geo-NeuS, arXiv:2205.15848, eq. 9 to 12)."""
    sdf = require(out.samples.sdf, "ncc", "a signed distance field (model.name=neus)")
    if sdf.shape[0] < 2:
        return out.rgb.sum() * 0.0
    crossings = first_crossings(out.samples.packed, sdf, out.samples.gradient, config.ncc_rays)
    errors = patch_errors(crossings, batch, config.ncc_patch)
    best = errors.sort(dim=1).values[:, : config.ncc_best]
    valid = best < NO_SCORE
    means = torch.where(valid, best, 0.0).sum(1) / valid.sum(1).clamp(min=1)
    return means.sum() / valid.any(1).sum().clamp(min=1)


def first_crossings(packed: RaySamples, sdf: Tensor, gradient: Tensor, num: int) -> Crossings:
    """The first `num` rays whose sdf (S,) changes from + to - between two adjoining samples; linear between these.

    gradient: (S, 3) of the sdf. The host reads nothing, and n = min(num, R)."""
    S, R = sdf.shape[0], packed.ray_count.shape[0]
    gap = packed.t_starts[1:] - packed.t_ends[:-1]
    adjoining = (packed.ray_indices[1:] == packed.ray_indices[:-1]) & (
        gap < 0.5 * (packed.t_ends - packed.t_starts)[:-1]
    )
    crosses = (sdf[:-1] > 0.0) & (sdf[1:] <= 0.0) & adjoining & packed.valid[1:]
    index = torch.where(crosses, torch.arange(S - 1, device=sdf.device), S)
    first = torch.full((R,), S, device=sdf.device).scatter_reduce(0, packed.ray_indices[:-1], index, "amin")
    order = torch.arange(1, min(num, R) + 1, device=sdf.device)
    rank = (first < S).cumsum(0)
    ray = torch.searchsorted(rank, order).clamp(max=R - 1)
    usable = order <= rank[-1]
    before = torch.where(usable, first[ray], 0)
    outside, inside = (torch.where(usable, sdf[before + k], 1.0 - k) for k in (0, 1))
    share = outside / (outside - inside)
    t_mids = packed.t_mids.to(sdf.dtype)
    distance = torch.where(usable, torch.lerp(t_mids[before], t_mids[before + 1], share), 1.0)
    slope = torch.lerp(*(gradient[before + k].to(sdf.dtype) for k in (0, 1)), share[:, None])
    return Crossings(ray, usable, distance, F.normalize(slope, dim=-1, eps=1e-6))


def patch_errors(crossings: Crossings, batch: RayBatch, size: int) -> Tensor:
    """(n, K) in [0, 1]: 1 - NCC, at most 1, of the patch of size * size pixels around each ray with its counterpart in
    each of the K neighbours of its photograph, over the pixels within its mask. NO_SCORE if there is nothing to
    compare: a patch without contrast or mask, beyond the edge of an image, seen from behind or at a grazing angle."""
    sources, image = batch.sources, batch.image[crossings.ray]
    around = _patch_positions(batch.pixel[crossings.ray], image, sources.photographs, size).to(crossings.distance.dtype)
    own, opaque = grey_at(sources, image[:, None], around)
    neighbours = sources.neighbours[image]  # (n, K)
    homography, seen = _homographies(crossings, batch, image, neighbours)
    rays = plane_positions(around, sources.photographs.intrinsics[image][:, None])  # (n, P, 3)
    moved = _apply(homography[:, :, None], rays[:, None])  # (n, K, P, 3)
    depth = moved[..., 2:]
    focal, centre = sources.photographs.intrinsics[neighbours][:, :, None].split(2, dim=-1)
    there = moved[..., :2] / depth.clamp(min=MIN_DEPTH) * focal + centre
    other, _ = grey_at(sources, neighbours[:, :, None], there)
    score, contrast = correlation(own[:, None], other, opaque[:, None].to(own.dtype))
    valid = crossings.usable & (contrast[:, 0] > MIN_CONTRAST**2) & _within(around, image[:, None], sources).all(1)
    valid = valid & (opaque.to(own.dtype).mean(1) > MIN_SHARE)
    inside = (_within(there, neighbours[:, :, None], sources) & (depth[..., 0] > MIN_DEPTH)).all(2)
    return torch.where(valid[:, None] & inside & seen, (1.0 - score).clamp(max=1.0), NO_SCORE)


def _patch_positions(pixel: Tensor, image: Tensor, photographs: Photographs, size: int) -> Tensor:
    """(n, size * size, 2) positions of the pixels around each pixel (n,) of an image (n,)."""
    within, width = pixel - photographs.starts[image], photographs.widths[image]
    middle = torch.stack([within % width, torch.div(within, width, rounding_mode="floor")], dim=-1) + 0.5
    steps = torch.arange(size, device=pixel.device) - size // 2
    return middle[:, None] + torch.cartesian_prod(steps, steps).flip(-1)


def _homographies(crossings: Crossings, batch: RayBatch, image: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """(n, K, 3, 3) from positions on the plane z = 1 of a camera (n,) to those in a neighbour (n, K), through the
    tangent plane of the surface, H = A + b n' / d (Geo-NeuS, eq. 10); and (n, K) bool, whether both see its front.

    The third coordinate that H gives is the depth in the neighbour by that in the camera itself."""
    c2w = batch.sources.photographs.c2w
    own, other = c2w[image], c2w[neighbours]
    directions, origins = batch.rays.directions[crossings.ray], batch.rays.origins[crossings.ray]
    facing = -(crossings.normal * directions).sum(-1)  # (n,)
    front = facing > MIN_FACING
    offset = -crossings.distance * torch.where(front, facing, 1.0)  # d, of the plane from the camera along the normal
    back = other[..., :3].transpose(-1, -2)  # from the scene to the neighbour
    turn = _apply(back[..., None, :, :], own[:, None, :, :3].transpose(-1, -2)).transpose(-1, -2)  # A
    shift = _apply(back, own[:, None, :, 3] - other[..., 3])  # b
    normal = _apply(own[..., :3].transpose(-1, -2), crossings.normal) / offset[:, None]
    points = origins + crossings.distance[:, None] * directions
    away = F.normalize(other[..., 3] - points[:, None], dim=-1)
    seen = (away * crossings.normal[:, None]).sum(-1) > MIN_FACING
    return turn + shift[..., None] * normal[:, None, None, :], front[:, None] & seen


def _apply(matrix: Tensor, vector: Tensor) -> Tensor:
    """matrix (..., 3, 3) times vector (..., 3); never in the reduced precision of a GPU's matrix products."""
    return (matrix * vector[..., None, :]).sum(-1)


def _within(xy: Tensor, image: Tensor, sources: SourceViews) -> Tensor:
    """(...) bool: whether positions (..., 2) lie between pixel centres of their image (...)."""
    return ((xy >= 0.5) & (xy <= _size(image, sources) - 0.5)).all(-1)


def _size(image: Tensor, sources: SourceViews) -> Tensor:
    return torch.stack([sources.photographs.widths[image], sources.heights[image]], dim=-1)


def grey_at(sources: SourceViews, image: Tensor, xy: Tensor) -> tuple[Tensor, Tensor]:
    """Grey (...) in [0, 1] between four pixels of an image (...) at positions (..., 2), and whether the one at the top
    left is opaque; differentiable in the positions. Beyond the edge an image repeats its last pixels."""
    photographs, last = sources.photographs, _size(image, sources) - 1
    start, width = photographs.starts[image], photographs.widths[image]
    position = torch.minimum((xy - 0.5).clamp(min=0.0), last.to(xy.dtype))
    corner = position.detach().floor()
    x, y = (position - corner).unbind(-1)
    low, high = corner.long(), torch.minimum(corner.long() + 1, last)
    grey, opaque = [], None
    for column, row in ((low, low), (high, low), (low, high), (high, high)):
        pixel = photographs.pixels[start + row[..., 1] * width + column[..., 0]]
        grey.append(pixel[..., :3].to(xy.dtype).mean(-1) / 255.0)
        opaque = pixel[..., -1] > 127 if opaque is None else opaque
    opaque = torch.ones_like(opaque) if photographs.pixels.shape[1] == 3 else opaque
    return torch.lerp(torch.lerp(grey[0], grey[1], x), torch.lerp(grey[2], grey[3], x), y), opaque


def correlation(a: Tensor, b: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised cross-correlation (...) in [-1, 1] of patches (..., P) whose pixels count by weights (..., P) >= 0,
    and the variance (...) of the first."""
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-6)
    a, b = (x - (weights * x).sum(-1, keepdim=True) for x in (a, b))
    own, other, both = ((weights * x).sum(-1) for x in (a.square(), b.square(), a * b))
    return both / ((own + 1e-6) * (other + 1e-6)).sqrt(), own
