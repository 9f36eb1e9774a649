"""Photographs as a loss sees them that compares patches: grey, with the neighbours of each and its noise."""

import numpy as np
import torch
from torch import Tensor

from datasets.geometry.neighbours import views_around
from utils.rays import Photographs, SourceViews

OVEREXPOSED = 254  # a channel from here on does not tell how bright it was
OPAQUE = 128  # alpha from here on belongs to the object
MIN_NOISE = 0.005  # of grey in [0, 1]: rounding, and what compression and resampling have smoothed
CHUNK = 2**22  # pixels that are turned grey at a time
ROWS = 4  # noise is measured in every fourth row


def source_views(
    photographs: Photographs, heights: Tensor, c2w: np.ndarray, num: int, kept: Tensor | None = None
) -> SourceViews:
    """The photographs with up to `num` neighbours of each, see `views_around`; on the device of `heights` (N,), also
    where their pixels lie in the host's memory. c2w: (N, 3, 4) of the photographs; kept: (P,) bool,
    which of their pixels count, None: all."""
    neighbours = torch.from_numpy(views_around(c2w, num)).to(heights.device)
    grey = grey_codes(photographs.pixels, heights.device)
    grey = grey if kept is None else grey * kept
    sizes = zip(photographs.starts.tolist(), photographs.widths.tolist(), heights.tolist(), strict=True)
    noise = [noise_of(grey[start : start + width * height].view(height, width)) for start, width, height in sizes]
    return SourceViews(photographs, heights, neighbours, grey, torch.stack(noise))


def grey_codes(pixels: Tensor, device: torch.device) -> Tensor:
    """(P,) uint8 on the device: the mean of the channels of pixels (P, 3 or 4), at least 1; 0 where a pixel is beside
    the mask or a channel of it is over-exposed."""
    codes = torch.empty(len(pixels), dtype=torch.uint8, device=device)
    for start in range(0, len(pixels), CHUNK):
        part = pixels[start : start + CHUNK].to(device)
        colour = part[:, :3]
        counts = colour.amax(1) < OVEREXPOSED
        if part.shape[1] == 4:
            counts = counts & (part[:, 3] >= OPAQUE)
        mean = (colour.sum(1, dtype=torch.int16) + 1).div(3, rounding_mode="floor").clamp(min=1)
        codes[start : start + CHUNK] = torch.where(counts, mean, 0).to(torch.uint8)
    return codes


def noise_of(codes: Tensor) -> Tensor:
    """() standard deviation of the noise of grey in [0, 1], at least MIN_NOISE: the median of what a filter leaves of
    an image (H, W) of codes that is zero on planes and edges (Immerkaer 1996, eq. 1; its mean is drawn by texture)."""
    grey, counts = codes.float(), codes > 0
    for _ in range(2):  # along the columns, then along the rows
        grey = (grey[:-2] - 2.0 * grey[1:-1] + grey[2:]).T
        counts = (counts[:-2] & counts[1:-1] & counts[2:]).T
    left = grey[::ROWS].abs()[counts[::ROWS]]
    found = left.median() / (6.0 * 0.6745 * 255.0) if len(left) else grey.new_zeros(())
    return found.clamp(min=MIN_NOISE)
