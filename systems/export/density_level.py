"""The value at which a field has its surface, where the configuration does not give it."""

import logging
import math

import torch
from torch import Tensor

from models.base import VolumeModel
from utils.errors import ReconstructionError
from utils.rays import Rays, RaySamples

log = logging.getLogger(__name__)
HALF = math.log(2.0)  # optical depth that stops half of the light
CANDIDATES = 32  # levels that are compared, each a quarter above the one before
FAR_OFF = 30.0  # steps of a ray from which on an error counts in full, as do a hole and a surface where there is none


@torch.no_grad()
def density_level(model: VolumeModel, rays: Rays) -> float:
    """The density that rays reach first where they lose half of their light, as nearly as one number can say it.

    Of several levels it is the one with the least mean distance, along the rays, between its first crossing and that
    place. It follows the field: one that is trained longer, or with other steps, is denser. Raises ReconstructionError
    where no ray loses half of its light."""
    starts = range(0, len(rays), model.config.ray_chunk)
    parts = [_profile(model, rays[start : start + model.config.ray_chunk]) for start in starts]
    half = torch.cat([part[0] for part in parts])
    opaque = half.isfinite()
    if not opaque.any():
        raise ReconstructionError(
            f"model.geometry.isosurface.threshold=auto: no surface, for none of {len(rays)} rays loses half its light "
            "in the model's region. Train longer, check that the object lies within model.radius, or give a number."
        )
    highest = torch.cat([part[1] for part in parts])[opaque]
    levels = torch.logspace(-3.0, 0.0, CANDIDATES, dtype=torch.float64) * float(highest.median())
    errors = [_error(model, parts, half, level) for level in levels.tolist()]
    best = min(range(CANDIDATES), key=errors.__getitem__)
    log.debug(
        "mesh: level %.3g of the density, %.3g steps from where %d rays lose half of their light",
        *(levels[best], errors[best], int(opaque.sum())),
    )
    return float(levels[best])


Profile = tuple[Tensor, Tensor, Tensor, RaySamples]  # of R rays, see below


def _profile(model: VolumeModel, rays: Rays) -> Profile:
    """Of each ray where it has lost half of its light (R,), inf where it never has, and its highest density (R,); of
    its samples the densities (S,), and the samples."""
    packed = model.march(rays, None).trimmed()
    points = rays.origins[packed.ray_indices] + packed.t_mids[:, None] * rays.directions[packed.ray_indices]
    density = model.field_value(points).float() if len(points) else packed.t_mids
    depth = density.double() * (packed.t_ends - packed.t_starts)
    through = torch.cat([depth.new_zeros(1), depth.cumsum(0)])  # over all rays, the samples in front
    before = through[:-1] - through[packed.ray_start][packed.ray_indices]
    inside = (before < HALF) & (before + depth >= HALF)
    at = packed.t_starts + (HALF - before) / depth.clamp(min=1e-30) * (packed.t_ends - packed.t_starts)
    reached = torch.where(inside, at, torch.inf)
    none = torch.full_like(rays.near, torch.inf)
    half = none.scatter_reduce(0, packed.ray_indices, reached.float(), "amin")
    highest = torch.zeros_like(rays.near).scatter_reduce(0, packed.ray_indices, density, "amax")
    return half, highest, density, packed


def _error(model: VolumeModel, parts: list[Profile], half: Tensor, level: float) -> float:
    """Mean distance, in steps, of where rays first reach a level from where they lose half of their light."""
    first = []
    for own, _, density, packed in parts:
        # On average the density reaches it half a step before the first sample where it has.
        reached = torch.where(density >= level, packed.t_starts, torch.inf)
        first.append(torch.full_like(own, torch.inf).scatter_reduce(0, packed.ray_indices, reached, "amin"))
    apart = (torch.cat(first) - half).abs() / model.step_length  # inf - inf, where neither is, is not a number
    return float(apart.nan_to_num(nan=0.0, posinf=FAR_OFF).clamp(max=FAR_OFF).mean())
