"""What the marches of the foreground and of a background share: where samples lie, and what becomes of padding."""

import torch
from torch import Tensor

from utils.rays import Rays, RaySamples

# Where less light than this comes through, all that lies behind changes a colour by 1/39 of a step of 8 bits at most.
MIN_TRANSMITTANCE = 1e-4


def draw_jitter(rays: Rays, generator: torch.Generator | None) -> Tensor:
    """(R,) shift of the intervals along each ray, in [0, 1): random with a generator, else 1/2."""
    if generator is None:
        return torch.full_like(rays.near, 0.5)
    return torch.rand(len(rays), generator=generator, device=rays.near.device)


def without_padding(packed: RaySamples) -> RaySamples:
    """On a CPU the samples in use alone; on a GPU all of them.

    A CPU has no queue to wait for: reading the count there is free and saves the work on padding."""
    return packed.trimmed() if packed.t_starts.device.type == "cpu" else packed
