"""Maps where the colours of a model are wrong in each image, so that more rays of a step go there."""

import torch
from torch import Tensor, nn

from utils.rays import Photographs

CELL = 16  # pixels along the side of a cell
RATE = 0.1  # weight of the newest step in the mean error of a cell
MIN_ERROR = 1e-4  # that a cell counts with, in sRGB


class ErrorMap(nn.Module):
    """Running mean of the colour error in cells of CELL * CELL pixels; redirects a share of a step's pixels to them.

    A cell is drawn in proportion to its error times its pixels; one that no ray has met yet has the mean error of the
    others. The losses are not reweighted, on purpose: weights that restore the mean over all pixels would undo what
    small wrong parts gain, and the share that is drawn evenly still reaches each pixel. The host reads nothing; the map
    is part of a checkpoint."""

    def __init__(self, share: float, photographs: Photographs, heights: Tensor) -> None:
        """share: of the pixels that are redirected, in [0, 1]; heights: (N,) int64 of the images, in pixels."""
        super().__init__()
        self.share, self.starts = share, photographs.starts
        self.sizes = torch.stack([photographs.widths, heights], dim=-1)  # (N, 2)
        self.columns, rows = (torch.div(self.sizes + CELL - 1, CELL, rounding_mode="floor")).unbind(-1)
        self.ends = (self.columns * rows).cumsum(0)
        self.first = self.ends - self.columns * rows
        cells = torch.arange(int(self.ends[-1]), device=self.ends.device)
        self.area = self._image_and_corner(cells)[2].prod(-1)  # (C,) pixels
        self.register_buffer("error", torch.zeros(len(cells), device=cells.device))
        self.register_buffer("met", torch.zeros_like(cells, dtype=torch.bool))

    def _image_and_corner(self, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The image (R,) of each cell (R,), its first pixel (R, 2) as x, y, and its size (R, 2) in pixels."""
        image = torch.searchsorted(self.ends, cell, right=True)
        within, columns = cell - self.first[image], self.columns[image]
        row = torch.div(within, columns, rounding_mode="floor")
        corner = CELL * torch.stack([within % columns, row], dim=-1)
        return image, corner, (self.sizes[image] - corner).clamp(max=CELL)

    def forward(self, pixel: Tensor, image: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """pixel (R,) and image (R,) of a sampler, with a share of them redirected to where errors are large."""
        options = {"generator": generator, "device": pixel.device}
        random = torch.rand(4, len(pixel), dtype=torch.float64, **options)
        total = self._weights().cumsum(0)
        cell = torch.searchsorted(total, random[0] * total[-1], right=True).clamp(max=len(total) - 1)
        other, corner, extent = self._image_and_corner(cell)
        xy = corner + torch.minimum((random[1:3].T * extent).long(), extent - 1)
        target = self.starts[other] + xy[:, 1] * self.sizes[other, 0] + xy[:, 0]
        redirected = random[3] < self.share
        return torch.where(redirected, target, pixel), torch.where(redirected, other, image)

    def _weights(self) -> Tensor:
        """(C,) float64 > 0, the weights that cells are drawn with."""
        mean = (self.error * self.met).sum() / self.met.sum().clamp(min=1)
        error = torch.where(self.met, self.error, mean).clamp(min=MIN_ERROR)
        return error.double() * self.area

    @torch.no_grad()
    def update(self, pixel: Tensor, image: Tensor, error: Tensor, counts: Tensor) -> None:
        """Adds the errors (R,) of a step at pixels (R,) of images (R,); counts: (R,) bool, which rays are used."""
        within, width = pixel - self.starts[image], self.sizes[image, 0]
        column, row = (torch.div(x, CELL, rounding_mode="floor") for x in (within % width, within // width))
        cell = self.first[image] + row * self.columns[image] + column
        number = torch.zeros_like(self.error).index_add_(0, cell, counts.float())
        summed = torch.zeros_like(self.error).index_add_(0, cell, torch.where(counts, error, 0.0))
        rate = torch.where(self.met, RATE, 1.0) * (number > 0)
        self.error.lerp_(summed / number.clamp(min=1.0), rate)
        self.met.logical_or_(number > 0)
