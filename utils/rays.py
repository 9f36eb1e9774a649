"""The values that travel between sampler, model and losses: rays, batches, packed samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

# Takes pixels (R,) and their images (R,) and returns others in their place, drawn with the generator.
Redirect = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Rays:
    """Rays in the scene frame; `near` and `far` are distances along the unit direction."""

    origins: Tensor  # (R, 3) float32, scene units
    directions: Tensor  # (R, 3) float32, unit length
    near: Tensor  # (R,) float32, >= 0
    far: Tensor  # (R,) float32
    lighting: Tensor | None = None  # (R,) int64, number of the lighting that a ray is seen in; None: the first

    def __len__(self) -> int:
        return self.origins.shape[0]

    def detached(self) -> "Rays":
        """The same rays; no gradient flows through these to a camera."""
        return replace(self, origins=self.origins.detach(), directions=self.directions.detach())

    def __getitem__(self, part: slice | Tensor) -> "Rays":
        lighting = None if self.lighting is None else self.lighting[part]
        return Rays(self.origins[part], self.directions[part], self.near[part], self.far[part], lighting)

    @classmethod
    def joined(cls, parts: Sequence["Rays"]) -> "Rays":
        """All rays of several, one after the other; either all parts have lightings or none has."""
        columns = zip(*((part.origins, part.directions, part.near, part.far) for part in parts), strict=True)
        lightings = [part.lighting for part in parts if part.lighting is not None]
        return cls(*map(torch.cat, columns), torch.cat(lightings) if lightings else None)


@dataclass(frozen=True)
class RayBatch:
    """Rays with the pixels they belong to; `rgb` is already composited over `background`."""

    rays: Rays
    rgb: Tensor  # (R, 3) float32, sRGB in [0, 1]
    mask: Tensor | None  # (R,) float32 in [0, 1]; None when the images have neither alpha nor masks
    background: Tensor  # (3,) float32, sRGB in [0, 1]
    image: Tensor  # (R,) int64, the photograph that each ray belongs to
    pixel: Tensor | None = None  # (R,) int64, rows of the photographs' pixels; None for rays that were not looked up
    sources: "SourceViews | None" = None  # only where a loss compares photographs
    points: Tensor | None = None  # (K, 3) sparse points in scene units, only where a loss reads them
    in_band: Tensor | None = None  # (R,) bool, True close to the outline of a mask; None: nowhere
    kept: Tensor | None = None  # (R,) bool of a whole photograph, False where a mask says not to look; None: all

    def by_pixel(self, num: int) -> "RayBatch":
        """One entry per pixel, if `num` rays in a row pass through each: the first ray's pixel, colour and mask."""
        parts = ("rays", "rgb", "mask", "image", "pixel", "in_band")
        values = {name: getattr(self, name) for name in parts}
        return replace(self, **{name: value[::num] for name, value in values.items() if value is not None})


@dataclass(frozen=True)
class Photographs:
    """The pixels and cameras of N images on one device, which give rays their colours; for a GPU the pixels may lie in
    memory of the host, pinned or not."""

    pixels: Tensor  # (P, C) uint8, sRGB, image after image, row by row; C = 3, or 4 with straight alpha
    starts: Tensor  # (N,) int64, where an image begins in `pixels`
    widths: Tensor  # (N,) int64
    c2w: Tensor  # (N, 3, 4) float32, orthonormal rotation
    intrinsics: Tensor  # (N, 4) float32: fx, fy, cx, cy in pixels
    near: float  # scene units along the ray
    far: float
    readable: bool = True  # by the device: not where the pixels lie in memory of the host that is not pinned


# Takes photographs with their heights (N,), and whether they are those of the training; returns them with the cameras
# that were learned.
Corrections = Callable[[Photographs, Tensor, bool], Photographs]


@dataclass(frozen=True)
class SourceViews:
    """Photographs, and for each its neighbours: those that see the object from a side that is neither too close nor too
    far. All but the photographs' own pixels lie on the device."""

    photographs: Photographs
    heights: Tensor  # (N,) int64, of the images in pixels
    neighbours: Tensor  # (N, K) int64, K photographs, or that of the row itself where fewer are of use
    grey: Tensor  # (P,) uint8, of the photographs' pixels, at least 1; 0 where one does not count: mask, over-exposure
    noise: Tensor  # (N,) float32 > 0, standard deviation of the noise of grey in [0, 1]


@dataclass(frozen=True)
class RaySamples:
    """Intervals along rays, packed by ray into a fixed capacity S; entries from `num_samples` on are padding.

    Rays whose samples no longer fit the capacity hold none; `within_budget` is False for them. Padding has ray index 0
    and t = 0."""

    ray_indices: Tensor  # (S,) int64, non-decreasing up to `num_samples`
    t_starts: Tensor  # (S,) float32, distance along the ray
    t_ends: Tensor  # (S,) float32
    ray_start: Tensor  # (R,) int64, index of a ray's first sample
    ray_count: Tensor  # (R,) int64, number of its samples
    within_budget: Tensor  # (R,) bool, False where the samples did not fit
    num_samples: Tensor  # () int64, number of samples in use

    @property
    def t_mids(self) -> Tensor:
        """(S,) middles of the intervals."""
        return 0.5 * (self.t_starts + self.t_ends)

    @property
    def valid(self) -> Tensor:
        """(S,) bool, False on padding."""
        return torch.arange(self.t_starts.shape[0], device=self.t_starts.device) < self.num_samples

    def trimmed(self) -> "RaySamples":
        """The same samples without padding; the host reads the count."""
        count = int(self.num_samples)
        return replace(
            self, ray_indices=self.ray_indices[:count], t_starts=self.t_starts[:count], t_ends=self.t_ends[:count]
        )
