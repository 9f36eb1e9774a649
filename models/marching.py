"""What the marches of the foreground and of a background share: the jitter of samples, and how padding is dropped."""

import torch
from torch import Tensor

from models.ops.cards import STOOD_IN
from utils.rays import Rays, RaySamples

# With less transmittance than this, everything behind changes a colour by at most 1/39 of an 8-bit step.
MIN_TRANSMITTANCE = 1e-4


def draw_jitter(rays: Rays, generator: torch.Generator | None) -> Tensor:
    """(R,) shift of the intervals along each ray, in [0, 1): random with a generator, else 1/2."""
    if generator is None:
        return torch.full_like(rays.near, 0.5)
    return torch.rand(len(rays), generator=generator, device=rays.near.device)


def without_padding(packed: RaySamples) -> RaySamples:
    """On a CPU only the samples in use; on a GPU all of them.

    A CPU has no queue to wait for, so reading the count there is free, and saves the work on padding."""
    on_cpu = packed.t_starts.device.type == "cpu" and STOOD_IN.get() is None
    return packed.trimmed() if on_cpu else packed
