"""Closed forms that need no kernel of their own: rays cut to a box."""

import torch

from utils.rays import Rays


def clip_rays_to_box(rays: Rays, radius: float) -> Rays:
    """The rays with `near` and `far` cut to the cube [-radius, radius]^3; near >= far where a ray misses it.

    Reads nothing on the host. A ray parallel to a face is handled as the limit of its neighbours."""
    # A zero component becomes the smallest slope whose inverse is finite: 0 * inf would be NaN.
    tiny = torch.finfo(rays.directions.dtype).tiny
    directions = torch.where(rays.directions.abs() < tiny, tiny, rays.directions)
    inverse = 1.0 / directions
    low, high = (-radius - rays.origins) * inverse, (radius - rays.origins) * inverse
    enter = torch.minimum(low, high).amax(dim=-1)
    leave = torch.maximum(low, high).amin(dim=-1)
    return Rays(rays.origins, rays.directions, torch.maximum(rays.near, enter), torch.minimum(rays.far, leave))
