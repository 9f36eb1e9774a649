"""How alike patches are in two photographs, in plain PyTorch."""

import torch
from torch import Tensor

from models.ops.patches import MAX_SCALE, MIN_DEPTH, MIN_KEPT, MIN_SHARE, SOFTENING, PatchSpec
from utils.cameras import plane_positions
from utils.rays import SourceViews


def compare_patches(
    homography: Tensor, pixel: Tensor, image: Tensor, others: Tensor, sources: SourceViews, spec: PatchSpec
) -> tuple[Tensor, Tensor, Tensor]:
    """Score, variance and whether these mean something, as in `models.ops.compare_patches`."""
    photographs, dtype = sources.photographs, homography.dtype
    within, width = pixel - photographs.starts[image], photographs.widths[image]
    middle = torch.stack([within % width, within // width], dim=-1)
    steps = torch.arange(spec.side, device=pixel.device) * spec.stride + spec.first
    around = middle[:, None] + torch.cartesian_prod(steps, steps).flip(-1)  # (n, P, 2)
    own = _codes(sources, image[:, None], around)
    rays = plane_positions(around.to(dtype) + 0.5, photographs.intrinsics[image][:, None])
    moved = _moved(homography, rays)  # (n, K, P, 3)
    depth = moved[..., 2:]
    focal, centre = photographs.intrinsics[others][:, :, None].split(2, dim=-1)
    there = moved[..., :2] / depth.clamp(min=MIN_DEPTH) * focal + centre
    other, counted = grey_between(sources, others[:, :, None], there)
    counts = own[:, None] > 0
    both = counts & counted & (depth[..., 0] > MIN_DEPTH)
    score, variance = correlation(own[:, None].to(dtype) / 255.0, other, both.to(dtype))
    enough = (both.sum(-1) >= MIN_SHARE * both.shape[-1]) & (both.sum(-1) >= MIN_KEPT * counts.sum(-1))
    shown = (_codes(sources, image, middle) > 0)[:, None] & (others != image[:, None])
    comparable = shown & enough & _keeps_scale(homography, middle, image, others, sources)
    return torch.where(comparable, score, 0.0), torch.where(comparable, variance, 0.0), comparable


def _keeps_scale(homography: Tensor, middle: Tensor, image: Tensor, others: Tensor, sources: SourceViews) -> Tensor:
    """(n, K) bool: whether the middle of a patch is neither mirrored nor, along any direction, more than MAX_SCALE
    times larger or smaller in the other photograph: the eigenvalues of J' J, with J the derivative of the position."""
    intrinsics, homography = sources.photographs.intrinsics, homography.detach()
    ray = plane_positions(middle.to(homography.dtype) + 0.5, intrinsics[image])
    moved = _moved(homography, ray[:, None])[:, :, 0]
    depth = moved[..., 2:].clamp(min=MIN_DEPTH)
    slope = homography[..., :2, :2] - (moved[..., :2] / depth)[..., None] * homography[..., 2:, :2]
    slope = slope * (intrinsics[others][..., :2] / depth)[..., None] / intrinsics[image][:, None, None, :2]
    squares = slope.square().sum((-2, -1))
    turn = slope[..., 0, 0] * slope[..., 1, 1] - slope[..., 0, 1] * slope[..., 1, 0]
    high = MAX_SCALE**2
    within = (squares <= 2.0 * high) & (high * high - high * squares + turn.square() >= 0.0)
    low = 1.0 / high
    within = within & (squares >= 2.0 * low) & (low * low - low * squares + turn.square() >= 0.0)
    return within & (turn > 0.0) & (moved[..., 2] > MIN_DEPTH)


def _moved(homography: Tensor, rays: Tensor) -> Tensor:
    """(n, K, P, 3) homography (n, K, 3, 3) times rays (n, P, 3); never in the reduced precision of matrix products."""
    columns = zip(homography[:, :, None].unbind(-1), rays[:, None].split(1, dim=-1), strict=True)
    return sum(column * ray for column, ray in columns)


def _codes(sources: SourceViews, image: Tensor, xy: Tensor) -> Tensor:
    """(...) uint8 codes of grey at columns and rows (..., 2) of images (...); 0 beyond the edge."""
    size = _size(sources, image)
    inside = ((xy >= 0) & (xy < size)).all(-1)
    x, y = torch.where(inside[..., None], xy, 0).unbind(-1)
    return torch.where(inside, sources.grey[sources.photographs.starts[image] + y * size[..., 0] + x], 0)


def _size(sources: SourceViews, image: Tensor) -> Tensor:
    return torch.stack([sources.photographs.widths[image], sources.heights[image]], dim=-1)


def grey_between(sources: SourceViews, image: Tensor, xy: Tensor) -> tuple[Tensor, Tensor]:
    """Grey (...) in [0, 1] between four pixels of images (...) at positions (..., 2), and whether all four count;
    differentiable in the positions."""
    size, position = _size(sources, image), xy - 0.5
    corner = position.detach().floor()
    inside = ((corner >= 0) & (corner < size - 1)).all(-1)
    column, row = torch.where(inside[..., None], corner, 0.0).long().unbind(-1)
    first = sources.photographs.starts[image] + row * size[..., 0] + column
    right, below = inside.long(), inside * size[..., 0]
    codes = [sources.grey[first + step] for step in (0, right, below, right + below)]
    counted = inside & (codes[0] > 0) & (codes[1] > 0) & (codes[2] > 0) & (codes[3] > 0)
    x, y = (position - corner).unbind(-1)
    grey = [code.to(xy.dtype) for code in codes]
    between = torch.lerp(torch.lerp(grey[0], grey[1], x), torch.lerp(grey[2], grey[3], x), y) / 255.0
    return torch.where(counted, between, 0.0), counted


def correlation(a: Tensor, b: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Normalised cross-correlation (...) in [-1, 1] of patches (..., P) whose pixels count by weights (..., P) >= 0,
    and the variance (...) of the first."""
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-6)
    a, b = (x - (weights * x).sum(-1, keepdim=True) for x in (a, b))
    own, other, both = ((weights * x).sum(-1) for x in (a.square(), b.square(), a * b))
    return both / ((own + SOFTENING) * (other + SOFTENING)).sqrt(), own
