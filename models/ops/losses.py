"""Means over rays, and over samples, of what a loss makes of each: all that a step asks for in one pass."""

from dataclasses import dataclass

from torch import Tensor

from models.ops.backends import module
from utils.rays import RaySamples

COLOR_LOSSES = ("rgb_mse", "rgb_l1", "rgb_smooth_l1", "rgb_robust")
OPACITY_LOSSES = ("mask", "opaque")
SAMPLE_LOSSES = ("eikonal", "sparsity")
EDGE = 1e-3  # opacities are compared within [EDGE, 1 - EDGE], where their logarithms are finite


@dataclass(frozen=True)
class RayTargets:
    """The truth of R rays, or pixels, and which of them count."""

    rgb: Tensor  # (R, 3) of the photographs
    mask: Tensor | None  # (R,) in [0, 1]; None: `mask` is 0
    in_band: Tensor | None  # (R,) bool, not counted by `mask`; None: nowhere
    within_budget: Tensor  # (R,) bool, others count for nothing
    ray_count: Tensor | None  # (R,) int64, samples of each; colours count where it is not 0; None: everywhere
    saturated_level: float | None = None  # from here on a channel of the truth is a lower bound; None: none is
    robust_scale: float = 0.1  # > 0, colour error where `rgb_robust` bends
    robust_shape: float = 1.0  # <= 1


def ray_losses(
    names: tuple[str, ...],
    rgb: Tensor,
    opacity: Tensor,
    variance: Tensor | None,
    targets: RayTargets,
    *,
    backend: str = "auto",
) -> Tensor:
    """(n,) means over the rays that count, 0 where none does, of losses of R rays or pixels.

    names: of COLOR_LOSSES and OPACITY_LOSSES, defined in `systems.losses`; rgb: (R, 3); opacity: (R,) in [0, 1];
    variance: (R, 3) of rgb, which `rgb_mse` subtracts. Differentiable, once, in these three."""
    return module("losses", backend, rgb).ray_losses(names, rgb, opacity, variance, targets)


def sample_losses(
    names: tuple[str, ...], sdf: Tensor, gradient: Tensor, packed: RaySamples, scale: float, *, backend: str = "auto"
) -> Tensor:
    """(n,) means over the samples in use, 0 where there are none, of losses of an SDF.

    names: `eikonal`, (|gradient| - 1)^2, and `sparsity`, exp(-scale |sdf|); sdf: (S,); gradient: (S, 3), in scene
    units. Differentiable, once, in both; at 0 the gradients of |gradient| and |sdf| are 0."""
    return module("losses", backend, sdf).sample_losses(names, sdf, gradient, packed, scale)
