"""Losses: each turns a rendered batch into a scalar; `system.loss.lambda_<name>` weighs it.

Colour losses average over the rays whose colour is learned: with one colour behind the region, those that have samples,
so that the empty space that a view shows does not change the balance with the other losses; with a learned background,
all within the sample budget. Opacity losses average over all rays within the sample budget."""

from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from models import ops
from models.base import RenderOutput
from systems.loss_config import LossConfig
from utils.errors import ConfigError
from utils.rays import RayBatch
from utils.registry import register

T = TypeVar("T")


def mean_over_rays(values: Tensor, out: RenderOutput) -> Tensor:
    """Mean of values (R,) of pixels, or of each of their rays, over those within the budget; no host read."""
    within_budget = (
        out.within_budget
        if len(values) == len(out.within_budget)
        else out.within_budget.repeat_interleave(len(values) // len(out.within_budget))
    )
    return _mean(values, within_budget)


def mean_over_colored(values: Tensor, out: RenderOutput) -> Tensor:
    """Mean of per-ray values (R,) over the rays that have samples, be it of the background; no host read."""
    if out.background is not None:  # behind a foreground that hides it, it needs none
        return mean_over_rays(values, out)
    return _mean(values, out.within_budget & out.has_samples)


def _mean(values: Tensor, rays: Tensor) -> Tensor:
    return (values * rays).sum() / rays.sum().clamp(min=1)


def mean_over_samples(values: Tensor, out: RenderOutput) -> Tensor:
    """Mean of per-sample values (S,) over the samples in use; no host read."""
    packed = out.samples.packed
    return torch.where(packed.valid, values, 0.0).sum() / packed.num_samples.clamp(min=1)


def require(value: T | None, name: str, what: str) -> T:
    """The value, which a loss needs. Raises ConfigError where the model does not have it."""
    if value is None:
        raise ConfigError(f"system.loss.lambda_{name}: needs {what}. Set it to 0.")
    return value


def color_error(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """(R, 3) the rendered colour less that of the photograph, 0 and without a gradient where `_is_free`."""
    error = out.rgb - batch.rgb
    return error if config.saturated_level is None else torch.where(_is_free(error, batch, config), 0.0, error)


def _is_free(error: Tensor, batch: RayBatch, config: LossConfig) -> Tensor:
    """(R, 3) bool: a channel of the photograph from system.loss.saturated_level on says "at least this bright" and no
    more, and the rendering is as bright or brighter."""
    return (batch.rgb >= config.saturated_level) & (error >= 0.0)


@register("loss", "rgb_mse")
def rgb_mse(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Mean squared error of the colour. If the colour is a mean over several rays of a pixel, the variance of that mean
    is subtracted, since it would favour soft edges; so the loss may be below 0."""
    error, variance = color_error(out, batch, config), out.rgb_variance
    if variance is None:
        return mean_over_colored(error.square().mean(-1), out)
    if config.saturated_level is not None:
        variance = torch.where(_is_free(out.rgb - batch.rgb, batch, config), 0.0, variance)
    return mean_over_colored((error.square() - variance).mean(-1), out)


@register("loss", "rgb_l1")
def rgb_l1(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Mean absolute error of the colour."""
    return mean_over_colored(color_error(out, batch, config).abs().mean(-1), out)


@register("loss", "rgb_smooth_l1")
@register("loss", "rgb")
def rgb_smooth_l1(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Huber loss of the colour with the bend at 1 (the predecessor's loss for NeRF, there called `rgb`)."""
    error = color_error(out, batch, config)
    return mean_over_colored(F.smooth_l1_loss(error, torch.zeros_like(error), reduction="none").mean(-1), out)


@register("loss", "rgb_robust")
def rgb_robust(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """The general robust loss of the colour (arXiv:1701.03077, eq. 1 and 8) in units of the squared error: that is what
    it is for errors far below robust_scale; beyond it grows more slowly. robust_shape 1: pseudo-Huber (Charbonnier),
    nearly the absolute error; 0: Cauchy; -2: Geman-McClure, where large errors hardly pull at all."""
    scale, shape = config.robust_scale, config.robust_shape
    squared = (color_error(out, batch, config) / scale).square()
    if shape == 0.0:
        cost = 2.0 * (0.5 * squared).log1p()
    else:
        cost = 2.0 * (2.0 - shape) / shape * ((squared / (2.0 - shape) + 1.0).pow(0.5 * shape) - 1.0)
    return mean_over_colored(scale**2 * cost.mean(-1), out)


@register("loss", "mask")
def mask(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Binary cross entropy of the opacity against the mask (NeuS, eq. 18), except within dataset.mask_band pixels of
    its outline; 0 without masks."""
    if batch.mask is None:
        return out.opacity.sum() * 0.0
    opacity = out.opacity.clamp(1e-3, 1.0 - 1e-3)
    counts = out.within_budget if batch.in_band is None else out.within_budget & ~batch.in_band
    return _mean(_binary_cross_entropy(opacity, batch.mask), counts)


@register("loss", "opaque")
def opaque(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Entropy of the opacity: pushes rays to be opaque or empty."""
    opacity = out.opacity.clamp(1e-3, 1.0 - 1e-3)
    return mean_over_rays(_binary_cross_entropy(opacity, opacity), out)


def _binary_cross_entropy(p: Tensor, target: Tensor) -> Tensor:
    return -(target * p.log() + (1.0 - target) * (1.0 - p).log())


@register("loss", "eikonal")
def eikonal(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Mean squared distance of |gradient| from 1 (IGR, arXiv:2002.10099)."""
    gradient = require(out.samples.gradient, "eikonal", "a signed distance field (model.name=neus)")
    return mean_over_samples((gradient.norm(dim=-1) - 1.0).square(), out)


@register("loss", "sparsity")
def sparsity(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Mean of exp(-sparsity_scale |sdf|): surfaces cost something, so those that no image needs vanish (SparseNeuS,
    eq. 10)."""
    sdf = require(out.samples.sdf, "sparsity", "a signed distance field (model.name=neus)")
    return mean_over_samples(torch.exp(-config.sparsity_scale * sdf.abs()), out)


@register("loss", "sparse_points")
def sparse_points(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Mean |sdf| at points on the object from structure from motion (Geo-NeuS, arXiv:2205.15848, eq. 7), triangulated
    from the photographs if the dataset has none. Points far off count little: Cauchy weights,
    1 / (1 + (sdf / (3 median))^2)."""
    field = require(out.field, "sparse_points", "a signed distance field (model.name=neus)")
    distance = field(batch.points).abs()
    scale = 3.0 * distance.detach().sort().values[len(distance) // 2]
    weight = 1.0 / (1.0 + (distance.detach() / scale.clamp(min=1e-6)).square())
    return (weight * distance).sum() / weight.sum()


@register("loss", "curvature")
def curvature(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Mean curvature of the level sets. With analytic gradients: 1 - n . n' of normals a small step apart along the
    surface, which costs one more query of the field (PermutoSDF, arXiv:2211.12562). With finite differences: the
    |Laplacian|, in 1 / scene unit, which their values give at no cost (Neuralangelo, arXiv:2306.03092, section 3.4)."""
    values = require(out.samples.curvature, "curvature", "a signed distance field (model.name=neus)")
    return mean_over_samples(values, out)


@register("loss", "distortion")
def distortion(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Spread of the weights along a ray (Mip-NeRF 360, eq. 15), in scene units."""
    return mean_over_rays(ops.distortion(out.samples.weights, out.samples.packed), out)


@register("loss", "distortion_bg")
def distortion_bg(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Spread of the weights of a learned background along a ray, by normalised inverse distance as in Mip-NeRF 360."""
    background = require(out.background, "distortion_bg", "a learned background (model.background.name=learned)")
    return mean_over_rays(ops.distortion(background.weights, background.normalized_samples), out)
