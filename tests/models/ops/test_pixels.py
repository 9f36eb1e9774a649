"""Rays and colours of pixels: every backend against cameras and pixels worked out by hand."""

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from models.ops import rays_of_pixels
from utils.rays import Photographs

SIZES = [(7, 5), (3, 4)]  # width, height


def photographs(channels: int, device: torch.device) -> Photographs:
    counts = torch.tensor([width * height for width, height in SIZES])
    c2w = torch.cat([torch.linalg.qr(torch.randn(2, 3, 3))[0], torch.randn(2, 3, 1)], dim=-1)
    tensors = (
        torch.randint(256, (int(counts.sum()), channels), dtype=torch.uint8),
        counts.cumsum(0) - counts,
        torch.tensor([width for width, _ in SIZES]),
        c2w,
        torch.tensor([[9.0, 8.0, 3.5, 2.5], [5.0, 6.0, 1.5, 2.0]]),
    )
    return Photographs(*(tensor.to(device) for tensor in tensors), near=0.25, far=7.5)


@pytest.mark.parametrize("channels", [3, 4])
def test_rays_and_colours_of_every_pixel(backend, device, channels):
    source, background = photographs(channels, device), torch.tensor([0.2, 0.5, 0.9], device=device)
    places = [(n, x, y) for n, (width, height) in enumerate(SIZES) for y in range(height) for x in range(width)]
    pixel = torch.arange(len(places), device=device).flip(0)
    image = torch.tensor([n for n, _, _ in places], device=device).flip(0)
    batch = rays_of_pixels(source, pixel, image, background, backend=backend)
    for ray, (n, x, y) in enumerate(reversed(places)):
        fx, fy, cx, cy = source.intrinsics[n]
        camera = torch.stack([(x + 0.5 - cx) / fx, (y + 0.5 - cy) / fy, torch.ones_like(fx)])
        direction = normalize(source.c2w[n, :, :3] @ camera, dim=0)
        assert_close(batch.rays.directions[ray], direction)
        assert_close(batch.rays.origins[ray], source.c2w[n, :, 3])
        colour = source.pixels[len(places) - 1 - ray] / 255.0
        alpha = colour[3] if channels == 4 else 1.0
        assert_close(batch.rgb[ray], colour[:3] * alpha + background * (1.0 - alpha))
        if channels == 4:
            assert_close(batch.mask[ray], alpha)
    assert (batch.mask is None) == (channels == 3)
    assert_close(batch.rays.near, torch.full((len(places),), 0.25, device=device))
    assert_close(batch.rays.far, torch.full((len(places),), 7.5, device=device))


def test_rays_beside_the_centres(backend, device):
    source, background = photographs(4, device), torch.zeros(3, device=device)
    pixel, image = torch.tensor([36, 46, 3], device=device), torch.tensor([1, 1, 0], device=device)
    shift = torch.tensor([[0.25, -0.4], [0.0, 0.0], [1.0, 0.0]], device=device)
    batch = rays_of_pixels(source, pixel, image, background, shift, backend=backend)
    plain = rays_of_pixels(source, pixel, image, background, backend=backend)
    assert_close(batch.rgb, plain.rgb)
    assert_close(batch.rays.directions[1], plain.rays.directions[1], rtol=0.0, atol=0.0)
    next_one = rays_of_pixels(source, pixel[2:] + 1, image[2:], background, backend=backend)
    assert_close(batch.rays.directions[2:], next_one.rays.directions)
    fx, fy, cx, cy = source.intrinsics[1]
    column, row = 36 - int(source.starts[1]), 0
    column, row = column % int(source.widths[1]), column // int(source.widths[1])
    camera = torch.stack([(column + 0.75 - cx) / fx, (row + 0.1 - cy) / fy, torch.ones_like(fx)])
    assert_close(batch.rays.directions[0], normalize(source.c2w[1, :, :3] @ camera, dim=0))


def test_one_image_may_be_given_for_all_pixels(backend, device):
    source, background = photographs(3, device), torch.zeros(3, device=device)
    pixel, image = torch.tensor([36, 46, 40], device=device), torch.ones(1, dtype=torch.int64, device=device)
    spread = rays_of_pixels(source, pixel, image.expand(3), background, backend=backend)
    plain = rays_of_pixels(source, pixel, torch.ones_like(pixel), background, backend=backend)
    assert_close(spread.rays.directions, plain.rays.directions)
    assert rays_of_pixels(source, pixel[:0], pixel[:0], background, backend=backend).rgb.shape == (0, 3)
