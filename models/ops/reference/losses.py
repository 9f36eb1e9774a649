"""Losses of rays and of samples in plain PyTorch: the specification of the fused kernels."""

import torch
from torch import Tensor
from torch.nn import functional as F

from models.ops.losses import COLOR_LOSSES, EDGE, RayTargets
from utils.rays import RaySamples


def ray_losses(
    names: tuple[str, ...], rgb: Tensor, opacity: Tensor, variance: Tensor | None, targets: RayTargets
) -> Tensor:
    """Means as in `models.ops.ray_losses`."""
    return torch.stack([_ray_loss(name, rgb, opacity, variance, targets) for name in names])


def _ray_loss(name: str, rgb: Tensor, opacity: Tensor, variance: Tensor | None, targets: RayTargets) -> Tensor:
    counts = targets.within_budget
    if name in COLOR_LOSSES:
        error = rgb - targets.rgb
        free = torch.zeros_like(error, dtype=torch.bool)
        if targets.saturated_level is not None:
            free = (targets.rgb >= targets.saturated_level) & (error >= 0.0)
            error = torch.where(free, 0.0, error)
        cost = _color_cost(name, error, targets.robust_scale, targets.robust_shape)
        if name == "rgb_mse" and variance is not None:
            cost = cost - torch.where(free, 0.0, variance)
        counts = counts if targets.ray_count is None else counts & (targets.ray_count > 0)
        return _mean(cost.mean(-1), counts)
    opacity = opacity.clamp(EDGE, 1.0 - EDGE)
    if name == "opaque":
        return _mean(_binary_cross_entropy(opacity, opacity), counts)
    if targets.mask is None:
        return opacity.sum() * 0.0
    counts = counts if targets.in_band is None else counts & ~targets.in_band
    return _mean(_binary_cross_entropy(opacity, targets.mask), counts)


def _color_cost(name: str, error: Tensor, scale: float, shape: float) -> Tensor:
    """Of each channel of an error (R, 3)."""
    if name == "rgb_mse":
        return error.square()
    if name == "rgb_l1":
        return error.abs()
    if name == "rgb_smooth_l1":
        return F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none")
    squared = (error / scale).square()
    if shape == 0.0:
        return scale**2 * 2.0 * (0.5 * squared).log1p()
    return scale**2 * 2.0 * (2.0 - shape) / shape * ((squared / (2.0 - shape) + 1.0).pow(0.5 * shape) - 1.0)


def _binary_cross_entropy(p: Tensor, target: Tensor) -> Tensor:
    return -(target * p.log() + (1.0 - target) * (1.0 - p).log())


def sample_losses(names: tuple[str, ...], sdf: Tensor, gradient: Tensor, packed: RaySamples, scale: float) -> Tensor:
    """Means as in `models.ops.sample_losses`."""
    costs = {
        "eikonal": lambda: (gradient.norm(dim=-1) - 1.0).square(),
        "sparsity": lambda: torch.exp(-scale * sdf.abs()),
    }
    return torch.stack([_mean(costs[name](), packed.valid) for name in names])


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    """Of those that count, 0 if none do."""
    return torch.where(counts, values, 0.0).sum() / counts.sum().clamp(min=1)
