"""Contracted space and the intervals in it: an inverse, limits, tiled rays, what an occupancy grid keeps."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from models import ops
from models.ops.contraction import FARTHEST
from models.ops.reference.unbounded import spread
from utils.rays import Rays


def rays_from(device: torch.device, num: int = 50, radius: float = 1.5) -> Rays:
    """Rays that begin 1 to 3 radii from the origin, in all directions, without an end."""
    generator = torch.Generator().manual_seed(1)
    place, directions = (F.normalize(torch.randn(num, 3, generator=generator), dim=-1) for _ in range(2))
    origins = radius * (1.0 + 2.0 * torch.rand(num, 1, generator=generator)) * place
    near = torch.rand(num, generator=generator)
    return Rays(*(part.to(device) for part in (origins, directions, near, torch.full_like(near, torch.inf))))


def missing(rays: Rays) -> Rays:
    """The region of rays that all miss it."""
    return replace(rays, far=rays.near)


def meeting(rays: Rays) -> Rays:
    """A region on all rays, from one to two units behind near."""
    return replace(rays, near=rays.near + 1.0, far=rays.near + 2.0)


def march(rays: Rays, num: tuple[int, int] = (0, 16), capacity: int | None = None, **changed: Tensor | Rays | str):
    yes = torch.ones_like(rays.near, dtype=torch.bool)
    every = {
        "region": missing(rays),
        "occupied": torch.ones(8, 8, 8, dtype=torch.bool, device=rays.near.device),
        "jitter": torch.full_like(rays.near, 0.5),
        "ray_mask": yes,
        "behind_mask": yes,
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


@pytest.mark.parametrize("num", [(6, 16), (1, 1), (0, 3)])
def test_intervals_tile_a_ray_on_both_sides_of_the_region(device: torch.device, num: tuple[int, int]) -> None:
    rays = rays_from(device)
    region, total = meeting(rays), sum(num) + 1
    packed = march(rays, num, region=region, jitter=torch.rand_like(rays.near))
    assert (packed.ray_count == total).all()
    starts, ends = packed.t_starts.view(-1, total), packed.t_ends.view(-1, total)
    assert_close(starts[:, num[0]], region.near)
    assert_close(ends[:, num[0]], region.far)
    assert_close(starts[:, 0], rays.near if num[0] else region.near)
    assert torch.equal(ends[:, :-1], starts[:, 1:])
    assert (ends > starts).all()
    front = (ends - starts)[:, 1 : max(num[0] - 1, 1)]
    assert (front[:, :-1] > front[:, 1:]).all()  # ever shorter towards the region


def test_the_inverse_of_the_distance_changes_evenly(device: torch.device) -> None:
    rays = rays_from(device)
    outwards = F.normalize(rays.origins, dim=-1)
    rays = Rays(rays.origins, outwards, torch.zeros_like(rays.near), rays.far)  # straight away from the origin
    middle = torch.full_like(rays.near, 0.5)
    _, ends = spread(rays, missing(rays), (0, 10), middle, 1.5)
    inverse = 1.0 / (rays.origins.norm(dim=-1, keepdim=True) + ends[:, 1:])
    assert_close(inverse.diff(dim=1), inverse.diff(dim=1)[:, :1].expand(-1, 9), rtol=1e-3, atol=1e-6)
    start, enters = 9.0, 2.0  # distances from the origin
    rays = Rays(start * outwards, -outwards, torch.zeros_like(rays.near), rays.far)  # straight at the origin
    region = replace(rays, near=torch.full_like(rays.near, start - enters), far=torch.full_like(rays.near, start))
    starts, _ = spread(rays, region, (10, 1), middle, 1.5)
    inverse = 1.0 / (start - starts[:, :11])
    assert_close(inverse.diff(dim=1), torch.full_like(inverse[:, 1:], (1 / enters - 1 / start) / 10.0))


def test_shares_run_from_far_in_front_to_far_behind(device: torch.device) -> None:
    rays = rays_from(device)
    region = meeting(rays)
    shares = ops.normalized_distances(rays, region, march(rays, (8, 16), region=region), 1.5)
    starts, ends = shares.t_starts.view(-1, 25), shares.t_ends.view(-1, 25)
    zero = torch.zeros_like(rays.near)
    for edge in (ends[:, 7], starts[:, 8], ends[:, 8], starts[:, 9]):
        assert_close(edge, zero, atol=1e-6, rtol=0.0)
    assert ((starts[:, 0] > -1.0) & (starts[:, 0] < 0.0)).all()
    assert (ends[:, -1] > 0.99).all()
    assert_close((ends - starts)[:, 9:], torch.full_like(starts[:, 9:], 1.0 / 16), atol=1e-3, rtol=0.0)
    assert_close((ends - starts)[:, :8], (-starts[:, :1] / 8.0).expand(-1, 8), atol=1e-4, rtol=0.0)


def test_behind_what_hides_it_only_the_front_and_the_region_are_kept(device: torch.device) -> None:
    rays = rays_from(device, 4)
    behind_mask = torch.tensor([True, False, True, False], device=device)
    assert march(rays, (5, 16), region=meeting(rays), behind_mask=behind_mask).ray_count.tolist() == [22, 6, 22, 6]
    empty = torch.zeros(8, 8, 8, dtype=torch.bool, device=device)
    found = march(rays, (5, 16), region=meeting(rays), behind_mask=behind_mask, occupied=empty)
    assert found.ray_count.tolist() == [2, 1, 2, 1]  # the region, and the last where the mask allows it
    assert march(rays, (5, 16), behind_mask=behind_mask).ray_count.tolist() == [
        16,
        0,
        16,
        0,
    ]  # where no ray meets the region


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
    ray_mask = torch.tensor([True, False, True, True, True, False], device=device)
    packed = march(rays, ray_mask=ray_mask, capacity=40)
    assert packed.t_starts.shape == (40,)
    assert packed.ray_count.tolist() == [16, 0, 16, 0, 0, 0]
    assert packed.within_budget.tolist() == [True, True, True, False, False, False]
    empty = Rays(rays.origins, rays.directions, rays.near, rays.near - 1.0)
    assert march(empty).ray_count.tolist() == [0] * 6


@pytest.mark.parametrize("backend", ["triton"], indirect=True)
@pytest.mark.parametrize("num", [(0, 16), (9, 40), (40, 150)])
@pytest.mark.parametrize("capacity", [None, 200])
def test_fast_march_equals_the_reference(
    backend: str, device: torch.device, num: tuple[int, int], capacity: int | None
) -> None:
    rays = rays_from(device, 12 if device.type == "cpu" else 400)
    hits = torch.rand_like(rays.near) < 0.7
    region = replace(rays, near=rays.near + hits, far=rays.near + hits * 2.5)
    every = {
        "jitter": torch.rand_like(rays.near),
        "occupied": torch.rand(16, 16, 16, device=device) < 0.3,
        "ray_mask": torch.rand_like(rays.near) < 0.8,
        "behind_mask": torch.rand_like(rays.near) < 0.6,
    }
    fast, slow = (march(rays, num, capacity, region=region, backend=b, **every) for b in (backend, "reference"))
    assert torch.equal(fast.within_budget, slow.within_budget)
    assert torch.equal(fast.ray_count, slow.ray_count)
    assert torch.equal(fast.ray_indices, slow.ray_indices)
    assert_close(fast.t_starts, slow.t_starts, rtol=1e-4, atol=1e-4)
    assert_close(fast.t_ends, slow.t_ends, rtol=1e-4, atol=1e-4)
    assert slow.num_samples > 20
