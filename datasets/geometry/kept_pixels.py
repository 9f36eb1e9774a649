"""Draws among the pixels that masks leave to train on, each equally likely, without a read by the host."""

import torch
from torch import Tensor

BLOCK = 64  # pixels that are counted together


class KeptPixels:
    """The kept ones of P pixels, numbered from 0 on; takes one byte and an eighth per pixel."""

    def __init__(self, kept: Tensor, starts: Tensor) -> None:
        """kept: (P,) bool, on the device that draws; starts: (N,) int64, where each image begins, which keeps at least
        one pixel."""
        self.kept = kept
        self._blocks = torch.nn.functional.pad(kept, (0, -len(kept) % BLOCK)).view(-1, BLOCK)
        self._ends = self._blocks.sum(1).cumsum(0)  # (B,) kept pixels up to the end of each block
        within = self._blocks[torch.div(starts, BLOCK, rounding_mode="floor")]
        before = torch.arange(BLOCK, device=kept.device) < (starts % BLOCK)[:, None]
        in_blocks = torch.nn.functional.pad(self._ends, (1, 0))[torch.div(starts, BLOCK, rounding_mode="floor")]
        self.total = int(self._ends[-1])
        first = in_blocks + (within & before).sum(1)
        # (N,) the number of the first kept pixel of each image, and how many it has
        self.ranges = first, torch.diff(first, append=self._ends[-1:])

    def pixel(self, number: Tensor) -> Tensor:
        """(R,) int64 pixels in [0, P) of kept pixels (R,) in [0, total)."""
        block = torch.searchsorted(self._ends, number, right=True)
        blocks = self._blocks[block]
        rank = number - (self._ends[block] - blocks.sum(1))
        return block * BLOCK + (blocks.cumsum(1) <= rank[:, None]).sum(1)
