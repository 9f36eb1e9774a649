"""The comparison of patches of photographs: which of their pixels are read, and what can be compared."""

from dataclasses import dataclass

from torch import Tensor

from models.ops.backends import module
from utils.rays import SourceViews

MIN_SHARE = 0.5  # of the pixels of a patch that must count in both photographs
MIN_KEPT = 0.75  # of those that count in a photograph, the share that must count in the other one
MAX_SCALE = 2.0  # a patch is at most this much larger or smaller in the other photograph, along each direction
MIN_DEPTH = 0.01  # of a pixel in the other camera, by its depth in its own
SOFTENING = 1e-6  # of variances, of grey in [0, 1], where one divides by them


@dataclass(frozen=True)
class PatchSpec:
    """A square of pixels around one pixel, of which every `stride`-th row and column is read."""

    size: int  # pixels along a side, odd
    stride: int = 1

    @property
    def side(self) -> int:
        """Rows, and columns, that are read."""
        return (self.size - 1) // self.stride + 1

    @property
    def first(self) -> int:
        """The first column and row that are read, from the pixel in the middle, <= 0."""
        return -((self.side - 1) * self.stride // 2)

    @property
    def deviation(self) -> float:
        """Pixels: the standard deviation of columns, and of rows, that are read."""
        return self.stride * ((self.side**2 - 1) / 12.0) ** 0.5


def compare_patches(
    homography: Tensor,
    pixel: Tensor,
    image: Tensor,
    others: Tensor,
    sources: SourceViews,
    spec: PatchSpec,
    *,
    backend: str = "auto",
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised cross-correlation (n, K) in [-1, 1] of the patch around a pixel with its image in K photographs, its
    variance (n, K) there, of grey in [0, 1], and (n, K) bool whether there is something to compare; else both are 0.

    homography: (n, K, 3, 3), from positions on the plane z = 1 of a camera to those of another one, with a third
    coordinate that has the sign of the depth; pixel: (n,) int64, rows of the photographs' pixels; image: (n,) the
    photograph of each; others: (n, K). Pixels count whose code in `sources.grey` is not 0, in both photographs. There
    is nothing to compare where too few do (MIN_SHARE, MIN_KEPT), where the patch is mirrored there or, by MAX_SCALE,
    too large or too small, or where the other photograph is the same one. Only the score is differentiable, in the
    homography."""
    return module("patches", backend, homography).compare_patches(homography, pixel, image, others, sources, spec)
