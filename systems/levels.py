"""The value at which a field has its surface, where the configuration does not give it."""

import logging
import math

import torch
from torch import Tensor

from models.base import VolumeModel
from utils.errors import ReconstructionError
from utils.rays import Rays

log = logging.getLogger(__name__)
HALF = math.log(2.0)  # optical depth that stops half of the light


@torch.no_grad()
def density_level(model: VolumeModel, rays: Rays) -> float:
    """The density where half of the light has been stopped, the median over the rays that stop as much.

    It follows the field: one that is trained longer, or with another step, is denser. Raises ReconstructionError where
    nothing stops half of the light."""
    found = torch.cat([_crossing(model, rays[i : i + model.config.ray_chunk]) for i in _starts(model, rays)])
    if not len(found):
        raise ReconstructionError(
            f"model.geometry.isosurface.threshold=auto: no surface, for none of {len(rays)} rays loses half its light "
            "in the model's region. Train longer, check that the object lies within model.radius, or give a number."
        )
    level = float(found.median())
    low, high = (float(found.quantile(share)) for share in (0.1, 0.9))
    log.info(
        "mesh: level %.3g of the density, where the median of %d rays has lost half its light (10 %% %.3g, 90 %% %.3g)",
        *(level, len(found), low, high),
    )
    return level


def _starts(model: VolumeModel, rays: Rays) -> range:
    return range(0, len(rays), model.config.ray_chunk)


def _crossing(model: VolumeModel, rays: Rays) -> Tensor:
    """(K,) densities at the points where rays have lost half of their light; the K of them that do."""
    packed = model.march(rays, None).trimmed()
    if not len(packed.t_starts):
        return rays.near.new_zeros(0)
    origins, directions = rays.origins[packed.ray_index], rays.directions[packed.ray_index]
    density = model.field_value(origins + packed.t_mids[:, None] * directions).float().double()
    depth = density * (packed.t_ends - packed.t_starts)
    through = depth.cumsum(0)  # over all rays
    before = (through - depth) - (through - depth)[packed.ray_start.clamp(max=len(depth) - 1)][packed.ray_index]
    inside = (before < HALF) & (before + depth >= HALF)
    share = ((HALF - before) / depth.clamp(min=1e-30))[inside].float()
    t = packed.t_starts[inside] + share * (packed.t_ends - packed.t_starts)[inside]
    return model.field_value(origins[inside] + t[:, None] * directions[inside]).float()
