"""Photographs of a point agree where the surface lies: a loss that compares patches across views (Geo-NeuS,
arXiv:2205.15848, section 3.3; patches by plane-induced homographies as in Furukawa & Ponce 2010)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from models.base import RenderOutput, SampleValues
from models.ops import PatchSpec, compare_patches
from systems.loss_config import LossConfig
from systems.losses import require
from utils.rays import RayBatch
from utils.registry import register

MIN_FACING = 0.2  # cosine between a normal and the direction to a camera, below which a patch is too oblique
MIN_CONTRAST = 2.0  # standard deviation of a patch by that of the noise of its photograph, from which it has texture
BENT = 0.3  # depth of a patch behind its tangent plane, by its standard deviation, from which it is no plane
NO_SCORE = 2.0  # error of a pair that cannot be compared; real errors are at most 1
_SDF = "a signed distance field (model.name=neus)"
Field = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Crossings:
    """Where rays first enter the surface; differentiable in the sdf and its gradient."""

    entry: Tensor  # (n,) int64, of the batch, which has one for each pixel
    usable: Tensor  # (n,) bool, False beyond the rays that cross the surface; values there are finite but meaningless
    points: Tensor  # (n, 3) scene units
    normal: Tensor  # (n, 3) outward, of any length: that of the gradient


@register("loss", "ncc")
def ncc(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """1 - normalised cross-correlation of the patch around a pixel with the same patch in neighbouring views, taking
    the surface for a plane where the ray meets it; mean of the best views (Geo-NeuS, arXiv:2205.15848, eq. 9 to 12),
    weighed with the share of a patch's variance that is not noise."""
    sdf = require(out.samples.sdf, "ncc", _SDF)
    if sdf.shape[0] < 2:
        return out.rgb.sum() * 0.0
    per_pixel = len(out.samples.packed.ray_count) // len(batch.image)
    spec = PatchSpec(config.ncc_patch, config.ncc_stride)
    crossings = at_mean_depth(
        first_crossings(out.samples, config.ncc_rays, per_pixel), batch, require(out.field, "ncc", _SDF), spec
    )
    errors, texture = patch_errors(crossings, batch, spec)
    best, views = errors.topk(min(config.ncc_best, errors.shape[1]), dim=1, largest=False)
    weights = texture.gather(1, views)
    return (weights * best).sum() / weights.sum().clamp(min=1.0)


def first_crossings(samples: SampleValues, num: int, per_pixel: int = 1) -> Crossings:
    """The first `num` rays whose sdf changes from + to - between two adjoining samples; linear between these.

    per_pixel: this many rays in a row pass through a pixel, and only the first of them counts. The host reads nothing,
    and n = min(num, R / per_pixel)."""
    packed, sdf = samples.packed, samples.sdf
    S, R = sdf.shape[0], packed.ray_count.shape[0]
    gap = packed.t_starts[1:] - packed.t_ends[:-1]
    adjoining = (packed.ray_indices[1:] == packed.ray_indices[:-1]) & (
        gap < 0.5 * (packed.t_ends - packed.t_starts)[:-1]
    )
    crosses = (sdf[:-1] > 0.0) & (sdf[1:] <= 0.0) & adjoining & packed.valid[1:]
    index = torch.where(crosses, torch.arange(S - 1, device=sdf.device), S)
    first = torch.full((R,), S, device=sdf.device).scatter_reduce(0, packed.ray_indices[:-1], index, "amin")
    first = first[::per_pixel]
    rank = (first < S).cumsum(0)
    order = torch.arange(1, min(num, len(first)) + 1, device=sdf.device)
    usable = order <= rank[-1]
    entry = torch.searchsorted(rank, order).clamp(max=len(first) - 1)
    before = torch.where(usable, first[entry], 0)
    both = torch.stack([before, before + 1])
    # gradients of these come back by additions, without the sort that gradients of brackets need
    outside, inside = sdf.index_select(0, both.flatten()).view(2, -1)
    share = torch.where(usable, outside / torch.where(usable, outside - inside, 1.0), 0.5)
    points = torch.lerp(*samples.points[both].to(sdf.dtype), share[:, None])
    slopes = samples.gradient.index_select(0, both.flatten()).to(sdf.dtype).view(2, -1, 3)
    return Crossings(entry, usable, points, torch.lerp(*slopes, share[:, None]))


def at_mean_depth(crossings: Crossings, batch: RayBatch, field: Field, spec: PatchSpec) -> Crossings:
    """The crossings with their tangent planes moved as deep as the patches lie on average; usable where these are flat.

    A patch of a round surface lies deeper than the tangent plane in its middle: taken for that plane, it would pull the
    surface behind itself. field: the sdf (K,) of points (K, 3)."""
    depth, flat = mean_depth(crossings, batch, field, spec)
    return replace(crossings, usable=crossings.usable & flat, points=crossings.points - depth)


@torch.no_grad()
def mean_depth(crossings: Crossings, batch: RayBatch, field: Field, spec: PatchSpec) -> tuple[Tensor, Tensor]:
    """(n, 3) how far patches lie behind the tangent plane in their middle on average, along the normal, in scene units;
    and (n,) bool, whether that is less than BENT of their spread.

    To second order it is half of curvature times variance, summed over two axes of the plane: so the sdf at a standard
    deviation to either side of the middle tells it."""
    points, own = crossings.points, batch.image[crossings.entry]
    photographs = batch.sources.photographs
    to_camera, focal = photographs.c2w[own][..., 3].to(points) - points, photographs.intrinsics[own, :2].to(points)
    distance, slope = to_camera.norm(dim=-1, keepdim=True), crossings.normal.norm(dim=-1, keepdim=True)
    view, normal = to_camera / distance, crossings.normal / slope.clamp(min=1e-6)
    facing = (view * normal).sum(-1, keepdim=True).clamp(min=MIN_FACING)
    spread = distance / focal.mean(-1, keepdim=True) * spec.deviation
    along = view - (view * normal).sum(-1, keepdim=True) * normal  # the patch is longest towards the camera
    other = torch.eye(3, dtype=points.dtype, device=points.device)[normal.abs().argmin(-1)]
    along = torch.where(along.norm(dim=-1, keepdim=True) > 1e-3, along, torch.cross(normal, other, dim=-1))
    along = along / along.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    across = torch.cross(normal, along, dim=-1)
    steps = torch.stack([across, -across, along / facing, -along / facing, torch.zeros_like(along)]) * spread
    sdf = field((points + steps).flatten(0, 1)).to(points).view(5, -1)
    depth = (0.5 * sdf[:4].sum(0) - 2.0 * sdf[4])[:, None] / slope.clamp(min=1e-6)
    return depth * normal, (depth.abs() < BENT * spread)[:, 0]


def patch_errors(crossings: Crossings, batch: RayBatch, spec: PatchSpec) -> tuple[Tensor, Tensor]:
    """1 - NCC (n, K), at most 1, of the patch around each ray with its counterpart in the K neighbours of its
    photograph, and (n, K) in [0, 1] the share of the patch's variance that is not noise.

    NO_SCORE and 0 where there is nothing to compare: see `models.ops.compare_patches`; from behind or at a grazing
    angle."""
    sources, pixel, image = batch.sources, batch.pixel[crossings.entry], batch.image[crossings.entry]
    neighbours = sources.neighbours[image]  # (n, K)
    homography, seen = homographies(crossings, sources.photographs.c2w, image, neighbours)
    score, variance, comparable = compare_patches(homography, pixel, image, neighbours, sources, spec)
    comparable = comparable & seen & crossings.usable[:, None]
    noise = (MIN_CONTRAST * sources.noise[image]).square()[:, None]
    texture = (1.0 - noise / variance.detach().clamp(min=1e-9)).clamp(min=0.0)
    errors = torch.where(comparable, (1.0 - score).clamp(max=1.0), NO_SCORE)
    return errors, torch.where(comparable, texture, 0.0)


def homographies(crossings: Crossings, c2w: Tensor, image: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """(n, K, 3, 3) from positions on the plane z = 1 of a camera to those in a neighbour (n, K), through the tangent
    plane of the surface, H = A + b n' / d (Geo-NeuS, eq. 10); and (n, K) bool, whether both see its front.

    c2w: (N, 3, 4); differentiable in it and in the crossings. The third coordinate that H gives is the depth in the
    neighbour by that in the camera itself."""
    own, other = c2w[image], c2w[neighbours]
    points, normal = crossings.points, crossings.normal
    height = (normal * (own[..., 3] - points)).sum(-1)  # of the camera over the plane, by the length of the normal
    with torch.no_grad():
        least, away = MIN_FACING * normal.norm(dim=-1), other[..., 3] - points[:, None]
        front = height > least * (own[..., 3] - points).norm(dim=-1)
        seen = front[:, None] & ((away * normal[:, None]).sum(-1) > least[:, None] * away.norm(dim=-1))
    back = other[..., :3].transpose(-1, -2)  # from the scene to the neighbour
    turn = _apply(back[..., None, :, :], own[:, None, :, :3].transpose(-1, -2)).transpose(-1, -2)  # A
    shift = _apply(back, own[:, None, :, 3] - other[..., 3])  # b
    plane = _apply(own[..., :3].transpose(-1, -2), normal) / torch.where(front, -height, 1.0)[:, None]  # n / d
    return turn + shift[..., None] * plane[:, None, None, :], seen


def _apply(matrix: Tensor, vector: Tensor) -> Tensor:
    """matrix (..., 3, 3) times vector (..., 3); never in the reduced precision of a GPU's matrix products."""
    return (matrix * vector[..., None, :]).sum(-1)
