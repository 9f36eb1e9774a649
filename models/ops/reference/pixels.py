"""Rays and colours of pixels in plain PyTorch."""

from torch import Tensor

from utils.cameras import pixel_rays
from utils.rays import Photographs, RayBatch


def rays_of_pixels(
    photographs: Photographs, pixel: Tensor, image: Tensor, background: Tensor, shift: Tensor | None = None
) -> RayBatch:
    """Rays and colours as in `models.ops.rays_of_pixels`."""
    within, width = pixel - photographs.starts[image], photographs.widths[image]
    cameras = photographs.c2w[image], photographs.intrinsics[image]
    rays = pixel_rays(within % width, within // width, *cameras, photographs.near, photographs.far, shift)
    pixels = photographs.pixels
    colour = pixels[pixel.to(pixels.device)].to(pixel.device).float() / 255.0
    if colour.shape[1] == 3:
        return RayBatch(rays, colour, None, background, image, pixel)
    alpha = colour[:, 3:]
    rgb = colour[:, :3] * alpha + background * (1.0 - alpha)
    return RayBatch(rays, rgb, alpha[:, 0], background, image, pixel)


def over_background(rgb: Tensor, opacity: Tensor, background: Tensor) -> Tensor:
    """Colours as in `models.ops.over_background`."""
    return rgb + (1.0 - opacity)[:, None] * background.detach()
