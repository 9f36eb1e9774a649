"""Turns a scene into rays: random training batches, whole images, and views from any camera."""

import numpy as np
import torch
from torch import Tensor

from datasets.scene import Scene
from utils.cameras import camera_rays
from utils.rays import RayBatch, Rays


class RaySampler:
    """Holds the uint8 pixels and cameras of a scene on one device; rays are computed when asked for.

    Nothing here reads from the device, and shapes depend on the arguments alone. On the CPU the pixels are shared
    with the scene, not copied. `per_image`: each batch comes from one random image instead of all pixels."""

    def __init__(self, scene: Scene, device: torch.device | str, *, per_image: bool = False) -> None:
        self.scene = scene
        self.device = torch.device(device)
        self.per_image = per_image
        self.pixels = torch.from_numpy(scene.pixels).to(self.device)  # (P, C) uint8
        self.c2w = torch.from_numpy(scene.c2w).to(self.device)  # (N, 3, 4)
        self.intrinsics = torch.from_numpy(scene.intrinsics).to(self.device)  # (N, 4)
        self.widths = torch.from_numpy(scene.sizes[:, 0].copy()).to(self.device)  # (N,)
        self.counts = torch.from_numpy(scene.sizes.prod(axis=1)).to(self.device)  # (N,) pixels of each image
        self.starts = torch.from_numpy(scene.offsets).to(self.device)  # (N,)
        self.ends = self.starts + self.counts

    def __len__(self) -> int:
        return len(self.scene)

    def size(self, index: int) -> tuple[int, int]:
        """Width and height of an image."""
        width, height = self.scene.sizes[index].tolist()
        return width, height

    def draw(self, num_rays: int, background: Tensor, generator: torch.Generator) -> RayBatch:
        """A batch of `num_rays` random pixels, drawn with replacement; each pixel is equally likely.

        background: (3,) sRGB in [0, 1]; generator: on the sampler's device."""
        options = {"generator": generator, "device": self.device}
        if self.per_image:
            image = torch.randint(len(self), (1,), **options).expand(num_rays)
            # the bound lies on the device; the bias of the remainder is below 1e-9
            pixel = self.starts[image] + torch.randint(2**62, (num_rays,), **options) % self.counts[image]
        else:
            pixel = torch.randint(len(self.pixels), (num_rays,), **options)
            image = torch.searchsorted(self.ends, pixel, right=True)
        return self._batch(pixel, image, background)

    def image(self, index: int, background: Tensor) -> RayBatch:
        """All pixels of one image, row by row: R = width * height. background: (3,) sRGB in [0, 1]."""
        start = int(self.scene.offsets[index])
        width, height = self.size(index)
        pixel = torch.arange(start, start + width * height, device=self.device)
        return self._batch(pixel, torch.full_like(pixel, index), background)

    def view(self, c2w: Tensor | np.ndarray, intrinsics: Tensor | np.ndarray, size: tuple[int, int]) -> Rays:
        """Rays of all pixels, row by row, of a camera that need not be one of the scene's.

        c2w: (3, 4) in the scene frame; intrinsics: (4,) fx, fy, cx, cy for `size` (width, height)."""
        width, height = size
        pixel = torch.arange(width * height, device=self.device)
        c2w = torch.as_tensor(c2w, dtype=torch.float32, device=self.device)
        intrinsics = torch.as_tensor(intrinsics, dtype=torch.float32, device=self.device)
        return self._rays(pixel % width, pixel // width, c2w, intrinsics)

    def _batch(self, pixel: Tensor, image: Tensor, background: Tensor) -> RayBatch:
        within = pixel - self.starts[image]
        width = self.widths[image]
        rays = self._rays(within % width, within // width, self.c2w[image], self.intrinsics[image])
        colour = self.pixels[pixel].to(torch.float32) / 255.0
        if not self.scene.has_alpha:
            return RayBatch(rays, colour, None, background)
        alpha = colour[:, 3:]
        return RayBatch(rays, colour[:, :3] * alpha + background * (1.0 - alpha), alpha[:, 0], background)

    def _rays(self, column: Tensor, row: Tensor, c2w: Tensor, intrinsics: Tensor) -> Rays:
        xy = torch.stack([column, row], dim=-1).to(torch.float32) + 0.5
        origins, directions = camera_rays(xy, c2w, intrinsics)
        near = origins.new_full((len(xy),), self.scene.near)
        return Rays(origins, directions, near, torch.full_like(near, self.scene.far))
