"""Pixels to rays and back."""

import pytest
import torch
from torch.testing import assert_close

from utils.cameras import camera_rays, pixel_directions, pixel_rays, spread_in_pixel


def random_cameras(num: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rotations = torch.linalg.qr(torch.randn(num, 3, 3, generator=generator, dtype=torch.float64))[0]
    rotations = rotations * torch.det(rotations)[:, None, None]
    c2w = torch.cat([rotations, torch.randn(num, 3, 1, generator=generator, dtype=torch.float64)], dim=-1)
    return c2w, torch.tensor([500.0, 450.0, 300.0, 200.0]) + 50 * torch.rand(num, 4, generator=generator)


def test_points_on_a_ray_project_to_its_pixel():
    c2w, intrinsics = random_cameras(40)
    xy = 600.0 * torch.rand(40, 2, dtype=torch.float64)
    origins, directions = camera_rays(xy, c2w, intrinsics)
    points = origins + (0.1 + torch.rand(40, 1, dtype=torch.float64)) * directions
    camera = torch.linalg.solve(c2w[:, :, :3], points - c2w[:, :, 3])
    assert (camera[:, 2] > 0).all()
    assert_close(camera[:, :2] / camera[:, 2:] * intrinsics[:, :2] + intrinsics[:, 2:], xy)
    assert_close(directions.norm(dim=-1), torch.ones(40, dtype=torch.float64))


def test_axes_are_x_right_y_down_z_forward():
    intrinsics = torch.tensor([10.0, 10.0, 4.0, 3.0])
    directions = pixel_directions(torch.tensor([[4.0, 3.0], [14.0, 3.0], [4.0, 13.0]]), intrinsics)
    half = 0.5**0.5
    assert_close(directions, torch.tensor([[0.0, 0.0, 1.0], [half, 0.0, half], [0.0, half, half]]))


def test_one_camera_serves_many_pixels():
    c2w, intrinsics = random_cameras(1)
    xy = torch.rand(6, 2, dtype=torch.float64)
    one = camera_rays(xy, c2w[0], intrinsics[0])
    each = camera_rays(xy, c2w.expand(6, 3, 4), intrinsics.expand(6, 4))
    for a, b in zip(one, each, strict=True):
        assert_close(a, b)


def test_rays_of_pixels_pass_through_their_centres():
    c2w, intrinsics = random_cameras(3)
    column, row = torch.tensor([0, 7, 300]), torch.tensor([5, 0, 200])
    rays = pixel_rays(column, row, c2w, intrinsics, 0.5, torch.inf)
    origins, directions = camera_rays(torch.stack([column, row], dim=-1) + 0.5, c2w, intrinsics)
    assert_close(rays.origins, origins)
    assert_close(rays.directions, directions)
    assert (rays.near == 0.5).all()
    assert rays.far.isinf().all()


@pytest.mark.parametrize("num", [1, 2, 3, 4, 9, 16])
def test_places_in_a_pixel_are_apart_and_centred(num: int) -> None:
    places = spread_in_pixel(num)
    assert places.shape == (num, 2)
    assert_close(places.mean(0), torch.zeros(2), atol=1e-6, rtol=0.0)
    assert places.abs().max() <= 0.5
    apart = torch.cdist(places, places) + torch.eye(num)
    assert apart.min() > 0.6 / num**0.5
    if num > 1:  # they stand for the whole pixel: as far from the centre as those of an even one, 1/12 a pixel squared
        assert places.square().mean(0) == pytest.approx([1 / 12, 1 / 12], rel=0.6)
