"""Losses: each turns a rendered batch into a scalar; `system.loss.lambda_<name>` weighs it.

Colour losses average over the rays whose colour is learned: with one colour behind the region, those that have samples,
so that the empty space that a view shows does not change the balance with the other losses; with a learned background,
all within the sample budget. Opacity losses average over all rays within the sample budget."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from models import ops
from models.base import RenderOutput
from models.ops.losses import COLOR_LOSSES, OPACITY_LOSSES, SAMPLE_LOSSES
from systems.loss_config import LossConfig
from utils.errors import ConfigError
from utils.rays import RayBatch
from utils.registry import register

T = TypeVar("T")
Loss = Callable[[RenderOutput, RayBatch, LossConfig], Tensor]
_OF_RAYS = {name: name for name in (*COLOR_LOSSES, *OPACITY_LOSSES)} | {"rgb": "rgb_smooth_l1"}


def mean_over_rays(values: Tensor, out: RenderOutput) -> Tensor:
    """Mean of values (R,) of pixels, or of each of their rays, over those within the budget; no host read."""
    within_budget = (
        out.within_budget
        if len(values) == len(out.within_budget)
        else out.within_budget.repeat_interleave(len(values) // len(out.within_budget))
    )
    return _mean(values, within_budget)


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
    """(R, 3) the rendered colour less that of the photograph; 0 where a channel of the photograph, from
    system.loss.saturated_level on, says "at least this bright" and the rendering is as bright or brighter."""
    error = out.rgb - batch.rgb
    if config.saturated_level is None:
        return error
    return torch.where((batch.rgb >= config.saturated_level) & (error >= 0.0), 0.0, error)


def of_rays(
    names: tuple[str, ...], out: RenderOutput, batch: RayBatch, config: LossConfig, backend: str = "auto"
) -> Tensor:
    """(n,) losses of colour and opacity, by the names that `ops.ray_losses` has for them."""
    targets = ops.RayTargets(
        rgb=batch.rgb,
        mask=batch.mask,
        in_band=batch.in_band,
        within_budget=out.within_budget,
        # a background needs no samples behind a foreground that hides it
        ray_count=out.ray_count if out.background is None else None,
        saturated_level=config.saturated_level,
        robust_scale=config.robust_scale,
        robust_shape=config.robust_shape,
    )
    return ops.ray_losses(names, out.rgb, out.opacity, out.rgb_variance, targets, backend=backend)


def of_samples(
    names: tuple[str, ...], out: RenderOutput, batch: RayBatch, config: LossConfig, backend: str = "auto"
) -> Tensor:
    """(n,) losses of a signed distance field, by the names that `ops.sample_losses` has for them."""
    sdf = require(out.samples.sdf, names[0], "a signed distance field (model.name=neus)")
    packed, scale = out.samples.packed, config.sparsity_scale
    return ops.sample_losses(names, sdf, out.samples.gradient, packed, scale, backend=backend)


def order(name: str) -> int:
    """What to sort the losses by that `find` takes: those of rays come first, then those of samples, then others."""
    return 0 if name in _OF_RAYS else 1 if name in SAMPLE_LOSSES else 2


def find(
    losses: Mapping[str, Loss],
    names: tuple[str, ...],
    out: RenderOutput,
    batch: RayBatch,
    config: LossConfig,
    backend: str,
) -> tuple[Tensor, Tensor]:
    """(n,) the named losses, which `order` has sorted, and () the mean squared error of the colour, without a gradient.

    Those of rays, and of samples, are computed in one pass each."""
    rays = tuple(_OF_RAYS[name] for name in names if order(name) == 0)
    samples = tuple(name for name in names if order(name) == 1)
    others = [losses[name](out, batch, config) for name in names if order(name) == 2]
    found = of_rays(rays if "rgb_mse" in rays else (*rays, "rgb_mse"), out, batch, config, backend)
    mse = found[rays.index("rgb_mse") if "rgb_mse" in rays else -1].detach()
    parts = [found[: len(rays)] if "rgb_mse" not in rays else found]
    parts += [of_samples(samples, out, batch, config, backend)] if samples else []
    parts += [torch.stack(others).to(found.dtype)] if others else []
    return torch.cat(parts) if len(parts) > 1 else parts[0], mse


@register("loss", "rgb_mse")
def rgb_mse(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Mean squared error of the colour. If the colour is a mean over several rays of a pixel, the variance of that mean
    is subtracted, since it would favour soft edges; so the loss may be below 0."""
    return of_rays(("rgb_mse",), out, batch, config)[0]


@register("loss", "rgb_l1")
def rgb_l1(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Mean absolute error of the colour."""
    return of_rays(("rgb_l1",), out, batch, config)[0]


@register("loss", "rgb_smooth_l1")
@register("loss", "rgb")
def rgb_smooth_l1(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Huber loss of the colour with the bend at 1 (the predecessor's loss for NeRF, there called `rgb`)."""
    return of_rays(("rgb_smooth_l1",), out, batch, config)[0]


@register("loss", "rgb_robust")
def rgb_robust(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """The general robust loss of the colour (arXiv:1701.03077, eq. 1 and 8) in units of the squared error: that is what
    it is for errors far below robust_scale; beyond it grows more slowly. robust_shape 1: pseudo-Huber (Charbonnier),
    nearly the absolute error; 0: Cauchy; -2: Geman-McClure, where large errors hardly pull at all."""
    return of_rays(("rgb_robust",), out, batch, config)[0]


@register("loss", "mask")
def mask(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Binary cross entropy of the opacity against the mask (NeuS, eq. 18), except within dataset.mask_band pixels of
    its outline; 0 without masks."""
    return of_rays(("mask",), out, batch, config)[0]


@register("loss", "opaque")
def opaque(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Entropy of the opacity: pushes rays to be opaque or empty."""
    return of_rays(("opaque",), out, batch, config)[0]


@register("loss", "eikonal")
def eikonal(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Mean squared distance of |gradient| from 1 (IGR, arXiv:2002.10099)."""
    return of_samples(("eikonal",), out, batch, config)[0]


@register("loss", "sparsity")
def sparsity(out: RenderOutput, batch: RayBatch, config: LossConfig) -> Tensor:
    """Mean of exp(-sparsity_scale |sdf|): surfaces cost something, so those that no image needs vanish (SparseNeuS,
    eq. 10)."""
    return of_samples(("sparsity",), out, batch, config)[0]


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
