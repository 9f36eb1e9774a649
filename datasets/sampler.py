"""Turns a scene into rays: random training batches, whole images, and views from any camera."""

from copy import copy
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from datasets.geometry.coverage import count_views
from datasets.geometry.kept_pixels import KeptPixels
from datasets.masks import outline_band
from datasets.options import Placement
from datasets.placement import place_pixels
from datasets.points.object_points import object_points
from datasets.scene import Scene
from datasets.sources import source_views
from models import ops
from utils.cameras import Camera, pixel_rays, spread_in_pixel
from utils.errors import DataError
from utils.mesh.stand import Stand
from utils.rays import Photographs, RayBatch, Rays, Redirect, SourceViews


class RaySampler:
    """Holds the uint8 pixels and cameras of a scene for one device; computes rays on demand.

    Nothing here reads from the device, and shapes depend on the arguments alone. On the CPU the sampler shares the
    pixels with the scene. `per_image`: each batch comes from one random image instead of all pixels; `backend`: that of
    `models.ops`; `placement`: where a GPU reads the pixels, see `place_pixels`; `mask_band`: width in pixels of the
    band around the outline of a mask that batches mark as `in_band`."""

    def __init__(
        self,
        scene: Scene,
        device: torch.device | str,
        *,
        per_image: bool = False,
        backend: str = "auto",
        placement: Placement = "auto",
        mask_band: int = 0,
    ) -> None:
        self.scene = scene
        self.device = torch.device(device)
        self.per_image, self.backend, self.mask_band = per_image, backend, mask_band
        pixels, readable = place_pixels(scene.pixels, self.device, placement, f"{scene.name}, {len(scene)} images")
        arrays = scene.offsets, scene.sizes[:, 0].copy(), scene.c2w, scene.intrinsics
        tensors = (torch.from_numpy(array).to(self.device) for array in arrays)
        self.photographs = Photographs(pixels, *tensors, scene.near, scene.far, readable)
        self.counts = torch.from_numpy(scene.sizes.prod(axis=1)).to(self.device)  # (N,) pixels of each image
        self.heights = torch.from_numpy(scene.sizes[:, 1].copy()).to(self.device)  # (N,) pixels
        self.ends = self.photographs.starts + self.counts
        self.lighting = None if scene.lighting is None else torch.from_numpy(scene.lighting.of_image).to(self.device)
        kept = None if scene.kept is None else torch.from_numpy(scene.kept).to(self.device)
        self.kept = None if kept is None else KeptPixels(kept, self.photographs.starts)
        self._spreads: dict[int, Tensor] = {}

    @property
    def capturable(self) -> bool:
        """Whether a CUDA graph may draw rays: only our own kernel can read pixels in the host's pinned memory."""
        if not self.photographs.readable:
            return False
        on_gpu = self.photographs.pixels.device.type == "cuda"
        return on_gpu or ops.uses_triton(self.backend, self.photographs.c2w)

    def with_cameras(self, c2w: Tensor, intrinsics: Tensor) -> "RaySampler":
        """The same pixels seen by other cameras: c2w (N, 3, 4) and intrinsics (N, 4) as in `Photographs`."""
        other = copy(self)
        other.scene = replace(self.scene, c2w=c2w.cpu().numpy(), intrinsics=intrinsics.cpu().numpy())
        other.photographs = replace(self.photographs, c2w=c2w, intrinsics=intrinsics)
        return other

    @cached_property
    def band(self) -> Tensor:
        """(P,) bool on the device, see `outline_band`; computed for the first batch, since whole views need none."""
        return torch.from_numpy(outline_band(self.scene, self.mask_band)).to(self.device)

    def spread(self, num: int) -> Tensor:
        """(num, 2) on the device, see `spread_in_pixel`; cached, since a CUDA graph reads it."""
        if num not in self._spreads:
            self._spreads[num] = spread_in_pixel(num, self.device)
        return self._spreads[num]

    def __len__(self) -> int:
        return len(self.scene)

    @property
    def image_names(self) -> tuple[str, ...]:
        """The file names of the photographs."""
        return self.scene.image_names

    @property
    def ground(self) -> np.ndarray | None:
        """(4,) what the object stands on, see `Scene.ground`."""
        return self.scene.ground

    @property
    def stand(self) -> Stand:
        """How the object stands, see `Scene.stand`."""
        return self.scene.stand

    @property
    def lamp_axes(self) -> Tensor | None:
        """(G, 3) on the device, see `SceneLighting.axes`; None where lamps stand still in the scene."""
        lighting = self.scene.lighting
        return None if lighting is None else torch.from_numpy(lighting.axes).to(self.device)

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of an image."""
        width, height = self.scene.sizes[index].tolist()
        return width, height

    def camera(self, index: int) -> Camera:
        """The camera of an image."""
        return Camera(self.scene.c2w[index], self.scene.intrinsics[index], self.size(index))

    def photograph(self, index: int) -> np.ndarray:
        """(H, W, 3|4) uint8 of an image, sRGB, with straight alpha where there is a mask; no copy."""
        return self.scene.image(index)

    def photograph_to_show(self, index: int) -> np.ndarray:
        """(H, W, 3|4) uint8 as `photograph`, with alpha 0 where it is not to be looked at."""
        image, kept = self.scene.image(index), self.scene.kept_of(index)
        if kept is None:
            return image
        alpha = image[..., 3] if image.shape[2] == 4 else np.full(image.shape[:2], 255, np.uint8)
        return np.dstack([image[..., :3], alpha * kept])

    def draw(
        self,
        num_rays: int,
        background: Tensor,
        generator: torch.Generator,
        redirect: Redirect | None = None,
        per_pixel: int = 1,
    ) -> RayBatch:
        """A batch of `num_rays` random pixels, drawn with replacement; each is equally likely that is to be looked at.

        background: (3,) sRGB in [0, 1]; generator: on the sampler's device; redirect: replaces some of the drawn
        pixels; per_pixel: this many consecutive rays pass through random points of each pixel instead of its centre, in
        two independent halves, each evenly spread."""
        pixel, image = self._random_pixels(num_rays, generator)
        if redirect is not None:
            pixel, image = self._keep((pixel, image), redirect(pixel, image, generator))
        shift = None
        if per_pixel > 1:
            random = torch.rand((num_rays, 2, 1, 2), generator=generator, device=self.device)
            shift = ((random + self.spread(per_pixel // 2)) % 1.0 - 0.5).flatten(0, 2)
            pixel, image = pixel.repeat_interleave(per_pixel), image.repeat_interleave(per_pixel)
        batch = self._look_up(pixel, image, background, shift)
        banded = self.mask_band > 0 and self.scene.has_alpha
        return replace(batch, in_band=self.band[pixel] if banded else None)

    def _keep(self, drawn: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Pixels and images of `other`, but those of `drawn` where `other` is not to be looked at."""
        if self.kept is None:
            return other
        goes = self.kept.kept[other[0]]
        return torch.where(goes, other[0], drawn[0]), torch.where(goes, other[1], drawn[1])

    def _random_pixels(self, num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Indices (num,) of random pixels, and of their images."""
        options = {"generator": generator, "device": self.device}
        if self.per_image:
            image = torch.randint(len(self), (1,), **options)
            # the bound is on the device; the bias of the remainder is below 1e-9
            first, counts = (self.photographs.starts, self.counts) if self.kept is None else self.kept.ranges
            pixel = first[image] + torch.randint(2**62, (num,), **options) % counts[image]
            return pixel if self.kept is None else self.kept.pixel(pixel), image.expand(num)
        total = len(self.photographs.pixels) if self.kept is None else self.kept.total
        pixel = torch.randint(total, (num,), **options)
        pixel = pixel if self.kept is None else self.kept.pixel(pixel)
        return pixel, torch.searchsorted(self.ends, pixel, right=True)

    def count_views(self, points: Tensor, reach: Tensor, most: int) -> Tensor:
        """(P,) int64: the number of photographs that have some of the ball of radius reach (P,) around points (P, 3) in
        frame, counted no further than `most`."""
        return count_views(points, reach, self.photographs, self.heights, most)

    def sources(self, num: int) -> SourceViews:
        """The photographs with up to `num` neighbours of each. Raises DataError where there is only one."""
        if len(self) < 2:
            raise DataError(
                f"{self.scene.name}: system.loss.lambda_ncc compares photographs, and there is only one to train on. "
                f"Add views, or set lambda_ncc to 0."
            )
        kept = None if self.kept is None else self.kept.kept
        return source_views(self.photographs, self.heights, self.scene.c2w, num, kept)

    def sparse_points(self, radius: float) -> Tensor | None:
        """(K, 3) points on the object, None where there are none; see `object_points`."""
        points = object_points(self.scene, radius)
        return None if points is None else torch.from_numpy(points).to(self.device)

    def image(self, index: int, background: Tensor) -> RayBatch:
        """All pixels of one image, row by row: R = width * height. background: (3,) sRGB in [0, 1]."""
        pixel, image = self._of_image(index)
        kept = None if self.kept is None else self.kept.kept[pixel]
        return replace(self._look_up(pixel, image, background, None), kept=kept)

    def rays(self, index: int, within: Tensor, shift: Tensor) -> Rays:
        """The rays (R,) of pixels within (R,) one image, counted row by row; shift: (R, 2) or (2,) from their centres,
        in pixels."""
        pixel, image = (values[within] for values in self._of_image(index))
        return self._look_up(pixel, image, torch.zeros(3, device=self.device), shift.expand(len(within), 2)).rays

    def _of_image(self, index: int) -> tuple[Tensor, Tensor]:
        """Indices (R,) of all pixels of an image, row by row, and that image for each."""
        start, (width, height) = int(self.scene.offsets[index]), self.size(index)
        pixel = torch.arange(start, start + width * height, device=self.device)
        return pixel, torch.full_like(pixel, index)

    def _look_up(self, pixel: Tensor, image: Tensor, background: Tensor, shift: Tensor | None) -> RayBatch:
        """The batch of pixels (R,) and their images (R,), each ray in the lighting of its photograph."""
        batch = ops.rays_of_pixels(self.photographs, pixel, image, background, shift, backend=self.backend)
        if self.lighting is None:
            return batch
        return replace(batch, rays=replace(batch.rays, lighting=self.lighting[image]))

    def view(
        self,
        c2w: Tensor | np.ndarray,
        intrinsics: Tensor | np.ndarray,
        size: tuple[int, int],
        pixel: Tensor | None = None,
        shift: Tensor | None = None,
    ) -> Rays:
        """Rays of pixels (R,) of a camera that need not be one of the scene's, counted row by row; None: all of them.

        c2w: (3, 4) in the scene frame; intrinsics: (4,) fx, fy, cx, cy for `size` (width, height); shift: (R, 2) or
        (2,) from the centres of the pixels."""
        width, height = size
        pixel = torch.arange(width * height, device=self.device) if pixel is None else pixel
        c2w = torch.as_tensor(c2w, dtype=torch.float32, device=self.device)
        intrinsics = torch.as_tensor(intrinsics, dtype=torch.float32, device=self.device)
        return pixel_rays(pixel % width, pixel // width, c2w, intrinsics, self.scene.near, self.scene.far, shift)
