"""Contracted space and the intervals in it: an inverse, limits, tiled rays, what an occupancy grid keeps."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from models import ops
from models.ops.contraction import FARTHEST, spread
from utils.rays import Rays


def rays_from(device: torch.device, num: int = 50, radius: float = 1.5) -> Rays:
    """Rays that begin 1 to 3 radii from the origin, in all directions, without an end."""
    generator = torch.Generator().manual_seed(1)
    place, directions = (F.normalize(torch.randn(num, 3, generator=generator), dim=-1) for _ in range(2))
    origins = radius * (1.0 + 2.0 * torch.rand(num, 1, generator=generator)) * place
    near = torch.rand(num, generator=generator)
    return Rays(*(part.to(device) for part in (origins, directions, near, torch.full_like(near, torch.inf))))


def march(rays: Rays, num: int = 16, capacity: int | None = None, **changed: Tensor):
    every = {
        "occupied": torch.ones(8, 8, 8, dtype=torch.bool, device=rays.near.device),
        "jitter": torch.full_like(rays.near, 0.5),
        "wanted": torch.ones_like(rays.near, dtype=torch.bool),
    }
    return ops.march_unbounded(rays, radius=1.5, num=num, capacity=capacity, **(every | changed))


def test_contraction_has_an_inverse(device: torch.device) -> None:
    points = (10.0 ** torch.linspace(-2, 2, 200, device=device))[:, None] * F.normalize(
        torch.randn(200, 3, device=device), dim=-1
    )
    inside = ops.contract(points)
    assert (inside.norm(dim=-1) < 2.0).all()
    assert_close(ops.uncontract(inside), points, rtol=1e-3, atol=1e-6)  # 1 / (2 - |x|) blows rounding up


def test_limits_of_the_contraction() -> None:
    direction = F.normalize(torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64), dim=-1)
    for length, expected in ((0.0, 0.0), (0.7, 0.7), (1.0, 1.0), (2.0, 1.5), (10.0, 1.9), (1e9, 2.0)):
        assert_close(ops.contract(length * direction), expected * direction)


@pytest.mark.parametrize("end", [4.0, torch.inf])
def test_intervals_tile_a_ray_and_grow(device: torch.device, end: float) -> None:
    rays = rays_from(device)
    rays = Rays(rays.origins, rays.directions, rays.near, torch.full_like(rays.far, end))
    for jitter in (torch.zeros_like(rays.near), torch.rand_like(rays.near)):
        packed = march(rays, jitter=jitter)
        assert (packed.ray_count == 16).all()
        starts, ends = packed.t_starts.view(-1, 16), packed.t_ends.view(-1, 16)
        assert_close(starts[:, 0], rays.near)
        assert_close(ends[:, -1], rays.far.minimum(rays.near + FARTHEST * 1.5))
        assert torch.equal(ends[:, :-1], starts[:, 1:])
        assert (ends > starts).all()
    lengths = ends - starts
    assert (lengths[:, 2:-1] > lengths[:, 1:-2]).all()


def test_the_inverse_of_the_distance_falls_evenly(device: torch.device) -> None:
    rays = rays_from(device)
    away = F.normalize(rays.origins, dim=-1)
    rays = Rays(rays.origins, away, torch.zeros_like(rays.near), rays.far)  # straight away from the origin
    edges = spread(rays, 10, torch.full_like(rays.near, 0.5), 1.5)
    inverse = 1.0 / (rays.origins.norm(dim=-1, keepdim=True) + edges)
    assert_close(inverse.diff(dim=1), (inverse[:, -1:] - inverse[:, :1]).expand(-1, 10) / 10.0, rtol=1e-3, atol=1e-6)


def test_shares_run_from_near_to_infinity(device: torch.device) -> None:
    rays = rays_from(device)
    shares = ops.inverse_shares(rays, march(rays), 1.5)
    starts, ends = shares.t_starts.view(-1, 16), shares.t_ends.view(-1, 16)
    assert_close(starts[:, 0], torch.zeros_like(rays.near), atol=1e-6, rtol=0.0)
    assert (ends[:, -1] > 0.99).all()
    assert_close(ends - starts, torch.full_like(starts, 1.0 / 16), atol=1e-3, rtol=0.0)


def test_the_grid_keeps_what_is_occupied_and_the_end(device: torch.device) -> None:
    rays, occupied = rays_from(device), torch.rand(8, 8, 8, device=device) < 0.3
    packed, everything = march(rays, occupied=occupied), march(rays)
    points = ops.contract(ops.sample_points(rays, everything) / 1.5)
    cells = ((points + 2.0) * 2.0).long().clamp(0, 7)
    keep = occupied[cells[:, 0], cells[:, 1], cells[:, 2]].view(-1, 16)
    keep[:, -1] = True
    assert torch.equal(packed.ray_count, keep.sum(1))
    assert torch.equal(packed.t_starts, everything.t_starts[keep.view(-1)])


def test_rays_that_do_not_fit_or_are_not_wanted_hold_no_samples(device: torch.device) -> None:
    rays = rays_from(device, 6)
    wanted = torch.tensor([True, False, True, True, True, False], device=device)
    packed = march(rays, wanted=wanted, capacity=40)
    assert packed.t_starts.shape == (40,)
    assert packed.ray_count.tolist() == [16, 0, 16, 0, 0, 0]
    assert packed.alive.tolist() == [True, True, True, False, False, False]
    empty = Rays(rays.origins, rays.directions, rays.near, rays.near - 1.0)
    assert march(empty).ray_count.tolist() == [0] * 6
