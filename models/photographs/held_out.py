"""The exposures of photographs that were held out: what those before and after them tell of them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.photographs.photometry import Exposure, exposed


@dataclass(frozen=True)
class ExpectedExposure:
    """Exposures of M photographs that no training saw, as an `Exposure` has them."""

    affine: Tensor  # (M, 2, 3) log gain and offset, less the means of the training

    @classmethod
    @torch.no_grad()
    def between(cls, learned: Exposure, places: Tensor, held_out: Tensor) -> "ExpectedExposure":
        """Of photographs at the places held_out (M,), from the learned ones of others at places (N,), in one order.

        A camera that chooses its exposure changes it little from one photograph to the next, so an exposure lies
        between those of its neighbours. How far that holds is asked of the training: each of its photographs is
        expected from its own neighbours, and the share of this that explains best what was learned, by least squares,
        in [0, 1], one for the gains and one for the offsets, is kept."""
        values, order = learned.centred, places.argsort()
        values, places = values[order], places[order].to(values)
        held_out = held_out.to(values)
        if len(places) < 3:
            return cls(values.new_zeros(len(held_out), 2, 3))
        inner = torch.arange(1, len(places) - 1, device=values.device)
        told = _interpolated(values, places, inner - 1, inner + 1, places[inner])
        explained, total = (told * values[inner]).sum(dim=(0, 2)), told.square().sum(dim=(0, 2))
        share = (explained / total.clamp(min=torch.finfo(total.dtype).tiny)).clamp(0.0, 1.0)
        after = torch.searchsorted(places, held_out).clamp(1, len(places) - 1)
        return cls(share[:, None] * _interpolated(values, places, after - 1, after, held_out))

    def __call__(self, light: Tensor, cover: Tensor, image: Tensor) -> Tensor:
        """See `Exposure.forward`."""
        return exposed(light, cover, self.affine[image])


def _interpolated(values: Tensor, places: Tensor, before: Tensor, after: Tensor, at: Tensor) -> Tensor:
    """(K, 2, 3) values (N, 2, 3) at the places at (K,), between rows before (K,) and after (K,); beyond, the nearer."""
    share = ((at - places[before]) / (places[after] - places[before])).clamp(0.0, 1.0)[:, None, None]
    return (1.0 - share) * values[before] + share * values[after]
