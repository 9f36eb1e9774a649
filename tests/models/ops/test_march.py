"""Marching: which intervals are kept, how they tile a ray, and what a capacity cuts off."""

import importlib

import pytest
import torch
from torch.testing import assert_close

from models.ops import clip_rays_to_box, march
from models.ops.packing import allocate_samples
from utils.rays import Rays, RaySamples

RADIUS, STEP, G = 1.5, 0.04, 16


def random_rays(R: int, device: torch.device) -> Rays:
    origins = 3.0 * torch.nn.functional.normalize(torch.randn(R, 3, device=device), dim=-1)
    targets = 2.5 * (torch.rand(R, 3, device=device) - 0.5)
    directions = torch.nn.functional.normalize(targets - origins, dim=-1)
    directions[: R // 8] = torch.eye(3, device=device)[torch.arange(R // 8, device=device) % 3]  # parallel to an axis
    near, far = torch.zeros(R, device=device), torch.full((R,), 10.0, device=device)
    return clip_rays_to_box(Rays(origins, directions, near, far), RADIUS)


def scene(backend: str, device: torch.device, share: float = 0.1) -> tuple[Rays, torch.Tensor, torch.Tensor]:
    R = 12 if (backend, device.type) == ("triton", "cpu") else 400  # interpreted kernels take their time
    return random_rays(R, device), torch.rand(G, G, G, device=device) < share, torch.rand(R, device=device)


def assert_same(a: RaySamples, b: RaySamples) -> None:
    for name in ("ray_indices", "t_starts", "t_ends", "ray_start", "ray_count", "within_budget", "num_samples"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


@pytest.mark.parametrize("backend", ["numba", "triton"], indirect=True)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
@pytest.mark.parametrize("samples_per_ray", [None, 2, 40])
def test_fast_backends_equal_the_reference(backend, device, share, samples_per_ray):
    rays, occupied, jitter = scene(backend, device, share)
    rays.origins[1] = rays.directions[2] = jitter[3] = float("nan")  # lie in the first cell, or nowhere
    rays.far[4] = 99.0  # outside the cube: the lattice ends first
    capacity = samples_per_ray and samples_per_ray * len(rays)
    assert_same(*(march(rays, occupied, RADIUS, STEP, jitter, capacity, backend=b) for b in ("reference", backend)))


@pytest.mark.parametrize("backend", ["numba", "triton"], indirect=True)
def test_rays_about_as_long_as_a_power_of_two_end_with_their_last_interval(backend, device):
    step = 2.0 * RADIUS / 140
    far, jitter = (x.reshape(-1) for x in torch.meshgrid(torch.arange(126, 131) * step, torch.rand(4), indexing="ij"))
    origins, directions = torch.tensor([[-1.5, 0.1, 0.1]]), torch.tensor([[1.0, 0.0, 0.0]])
    rays = Rays(*(x.to(device) for x in (origins.repeat(20, 1), directions.repeat(20, 1), 0.0 * far, far)))
    full = torch.ones(G, G, G, dtype=torch.bool, device=device)
    results = [march(rays, full, RADIUS, step, jitter.to(device), None, backend=b) for b in ("reference", backend)]
    assert_same(*results)


def test_all_samples_lie_in_occupied_cells(backend, device):
    rays, occupied, jitter = scene(backend, device)
    packed = march(rays, occupied, RADIUS, STEP, jitter, None, backend=backend)
    ray, t = packed.ray_indices, packed.t_mids
    points = rays.origins[ray] + rays.directions[ray] * t[:, None]
    x, y, z = ((points / RADIUS * 0.5 + 0.5) * G).floor().long().clamp(0, G - 1).unbind(-1)
    assert len(ray) > 50
    assert occupied[x, y, z].double().mean() > 0.999  # a middle on the face of a cell may round either way
    assert ((t >= rays.near[ray]) & (t < rays.far[ray])).all()


def test_a_full_grid_tiles_the_ray_without_a_gap(backend, device):
    rays, _, jitter = scene(backend, device)
    full = torch.ones(G, G, G, dtype=torch.bool, device=device)
    packed = march(rays, full, RADIUS, STEP, jitter, None, backend=backend)
    hits = rays.far > rays.near
    assert torch.equal(packed.ray_count > 0, hits)
    first = packed.ray_start[hits]
    last = first + packed.ray_count[hits] - 1
    assert torch.equal(packed.t_starts[first], rays.near[hits])
    assert torch.equal(packed.t_ends[last], rays.far[hits])
    inner = packed.ray_indices[1:] == packed.ray_indices[:-1]
    assert torch.equal(packed.t_starts[1:][inner], packed.t_ends[:-1][inner])
    assert (packed.t_ends - packed.t_starts).max() < STEP * 1.001


def test_jitter_shifts_the_lattice(backend, device):
    ray = Rays(*[torch.tensor(x, device=device) for x in ([[-1.5, 0.0, 0.0]], [[1.0, 0.0, 0.0]], [0.0], [3.0])])
    full = torch.ones(G, G, G, dtype=torch.bool, device=device)
    for jitter in (0.0, 0.25, 0.75):
        packed = march(ray, full, RADIUS, 0.5, torch.tensor([jitter], device=device), None, backend=backend)
        inner = packed.t_ends[:-1]
        expected = 0.5 * (torch.arange(len(inner), device=device) + (jitter if jitter else 1.0))
        assert_close(inner, expected)


def test_samples_are_packed_by_ray(backend, device):
    rays, occupied, jitter = scene(backend, device)
    packed = march(rays, occupied, RADIUS, STEP, jitter, None, backend=backend)
    assert packed.num_samples == packed.ray_count.sum() == len(packed.ray_indices)
    assert packed.within_budget.all()
    assert torch.equal(packed.ray_indices, torch.repeat_interleave(packed.ray_count))
    assert torch.equal(packed.ray_start, packed.ray_count.cumsum(0) - packed.ray_count)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.4, 0.9])
def test_a_capacity_keeps_the_first_rays_whole(backend, device, share):
    rays, occupied, jitter = scene(backend, device)
    everything = march(rays, occupied, RADIUS, STEP, jitter, None, backend=backend)
    capacity = int(share * everything.num_samples)
    packed = march(rays, occupied, RADIUS, STEP, jitter, capacity, backend=backend)
    fits = everything.ray_count.cumsum(0) <= capacity
    used = int(packed.num_samples)
    assert not fits.all()
    assert torch.equal(packed.within_budget, fits)
    assert torch.equal(packed.ray_count, everything.ray_count * fits)
    assert used == packed.ray_count.sum()
    assert len(packed.t_starts) == capacity
    for name in ("ray_indices", "t_starts", "t_ends"):
        assert torch.equal(getattr(packed, name)[:used], getattr(everything, name)[:used])
        assert not getattr(packed, name)[used:].any()


@pytest.mark.parametrize("backend", ["triton"], indirect=True)
@pytest.mark.parametrize("capacity", [0, 7, 8, 21, 99])
def test_rays_find_their_places_block_by_block(backend, device, monkeypatch, capacity):
    kernels = importlib.import_module("models.ops.triton.rays")
    monkeypatch.setattr(kernels, "FIT_BLOCK", 4)
    counts = torch.tensor([3, 0, 4, 1, 0, 5, 0, 0, 8, 0, 1], device=device)
    found = kernels.fitting(counts, capacity, torch.float32)
    expected = allocate_samples(counts, capacity, torch.float32)
    for name in ("ray_start", "ray_count", "within_budget", "num_samples"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


def test_a_capacity_to_the_sample_keeps_all(backend, device):
    rays, occupied, jitter = scene(backend, device)
    everything = march(rays, occupied, RADIUS, STEP, jitter, None, backend=backend)
    assert_same(march(rays, occupied, RADIUS, STEP, jitter, int(everything.num_samples), backend=backend), everything)


@pytest.mark.parametrize("capacity", [None, 64])
def test_an_empty_march(backend, device, capacity):
    rays, _, jitter = scene(backend, device)
    nothing = torch.zeros(G, G, G, dtype=torch.bool, device=device)
    packed = march(rays, nothing, RADIUS, STEP, jitter, capacity, backend=backend)
    assert packed.num_samples == 0
    assert packed.within_budget.all()
    assert not packed.ray_count.any()
    assert not packed.valid.any()
    assert march(rays[:0], nothing, RADIUS, STEP, jitter[:0], capacity, backend=backend).num_samples == 0


def test_rays_that_miss_or_are_not_numbers_hold_nothing(backend, device):
    rays, _, jitter = scene(backend, device)
    full = torch.ones(G, G, G, dtype=torch.bool, device=device)
    bounds = torch.maximum(rays.near, rays.far), torch.minimum(rays.near, rays.far)
    missing = Rays(rays.origins, rays.directions, *bounds)
    assert march(missing, full, RADIUS, STEP, jitter, 1000, backend=backend).num_samples == 0
    broken = Rays(rays.origins, rays.directions, rays.near * float("nan"), rays.far)
    assert march(broken, full, RADIUS, STEP, jitter, 1000, backend=backend).num_samples == 0
