"""Finds the density at which a field has its surface, if the configuration does not give a number."""

import logging
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.base import VolumeModel
from utils.errors import ReconstructionError
from utils.rays import Rays, RaySamples

log = logging.getLogger(__name__)
HALF_DEPTH = math.log(2.0)  # optical depth at which a ray has lost half of its light
CANDIDATES = 32  # levels that are compared, each a quarter above the one before
MAX_ERROR = 30.0  # steps of a ray at which an error is capped; a missing or a false surface counts as much


@torch.no_grad()
def density_level(model: VolumeModel, rays: Rays) -> float:
    """The density whose level set lies closest to where rays lose half of their light.

    Of CANDIDATES levels, this is the one with the least mean distance, along the rays, between its first crossing and
    the point at which the ray has lost half of its light. It depends on the field: longer training or other step
    lengths make a field denser. Raises ReconstructionError if no ray loses half of its light."""
    starts = range(0, len(rays), model.config.ray_chunk)
    profiles = [_profile(model, rays[start : start + model.config.ray_chunk]) for start in starts]
    half = torch.cat([profile.half for profile in profiles])
    opaque = half.isfinite()
    if not opaque.any():
        raise ReconstructionError(
            f"model.geometry.isosurface.threshold=auto: no surface, since none of {len(rays)} rays loses half its "
            "light in the model's region. Train longer, check that the object lies within model.radius, or give a "
            "number."
        )
    highest = torch.cat([profile.highest for profile in profiles])[opaque]
    levels = torch.logspace(-3.0, 0.0, CANDIDATES, dtype=torch.float64) * float(highest.median())
    errors = [_error(model, profiles, half, level) for level in levels.tolist()]
    best = min(range(CANDIDATES), key=errors.__getitem__)
    log.debug(
        "mesh: density level %.3g, on average %.3g steps from where %d rays lose half of their light",
        *(levels[best], errors[best], int(opaque.sum())),
    )
    return float(levels[best])


@dataclass(frozen=True)
class DensityProfile:
    """The density along R rays, at S samples in all."""

    half: Tensor  # (R,) distance at which the ray has lost half of its light; inf if it never has
    highest: Tensor  # (R,) highest density
    density: Tensor  # (S,)
    samples: RaySamples


def _profile(model: VolumeModel, rays: Rays) -> DensityProfile:
    samples = model.march(rays, None).trimmed()
    points = rays.origins[samples.ray_indices] + samples.t_mids[:, None] * rays.directions[samples.ray_indices]
    density = model.field_value(points).float() if len(points) else samples.t_mids
    depth = density.double() * (samples.t_ends - samples.t_starts)  # optical depth of each sample
    total = torch.cat([depth.new_zeros(1), depth.cumsum(0)])  # of all samples before, those of other rays too
    before = total[:-1] - total[samples.ray_start][samples.ray_indices]
    inside = (before < HALF_DEPTH) & (before + depth >= HALF_DEPTH)
    t = samples.t_starts + (HALF_DEPTH - before) / depth.clamp(min=1e-30) * (samples.t_ends - samples.t_starts)
    t = torch.where(inside, t, torch.inf)
    half = torch.full_like(rays.near, torch.inf).scatter_reduce(0, samples.ray_indices, t.float(), "amin")
    highest = torch.zeros_like(rays.near).scatter_reduce(0, samples.ray_indices, density, "amax")
    return DensityProfile(half, highest, density, samples)


def _error(model: VolumeModel, profiles: list[DensityProfile], half: Tensor, level: float) -> float:
    """Mean distance, in steps, between where rays first reach a level and where they lose half of their light."""
    first = []
    for profile in profiles:
        # On average, the density crosses the level half a step before the first sample above it.
        t = torch.where(profile.density >= level, profile.samples.t_starts, torch.inf)
        none = torch.full_like(profile.half, torch.inf)
        first.append(none.scatter_reduce(0, profile.samples.ray_indices, t, "amin"))
    distance = (torch.cat(first) - half).abs() / model.step_length  # inf - inf is NaN: neither exists, no error
    return float(distance.nan_to_num(nan=0.0, posinf=MAX_ERROR).clamp(max=MAX_ERROR).mean())
