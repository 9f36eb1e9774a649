"""Fixtures for the numerical operations: each backend in turn, and packed samples from plain lists."""

import sys
from collections.abc import Callable, Iterator

import pytest
import torch
from tinycudann_stand_in import Package

from models.ops.tinycudann import hash as tinycudann_hash
from models.ops.tinycudann import mlp as tinycudann_mlp
from utils.rays import RaySamples


@pytest.fixture(params=["reference", "numba", "triton"])
def backend(request: pytest.FixtureRequest, device: torch.device) -> str:
    """Each backend that runs on the device; Triton's kernels run on the CPU through its interpreter."""
    if request.param == "numba" and device.type != "cpu":
        pytest.skip("numba runs on the CPU")
    if request.param == "triton":
        pytest.importorskip("triton")
    return request.param


@pytest.fixture
def packed_from(device: torch.device) -> Callable[..., RaySamples]:
    """Builds random sorted intervals from the number of samples of each ray and a capacity."""

    def build(counts: list[int], capacity: int, dtype: torch.dtype = torch.float32) -> RaySamples:
        ray_count = torch.tensor(counts, device=device)
        total = int(ray_count.sum())
        ray_indices = torch.zeros(capacity, dtype=torch.int64, device=device)
        ray_indices[:total] = torch.repeat_interleave(ray_count)
        starts = torch.zeros(capacity, dtype=dtype, device=device)
        ends = torch.zeros_like(starts)
        starts[:total] = torch.arange(total, device=device) * 0.1 + 0.05 * torch.rand(total, device=device)
        ends[:total] = starts[:total] + 0.05
        return RaySamples(
            ray_indices,
            starts,
            ends,
            ray_count.cumsum(0) - ray_count,
            ray_count,
            torch.ones_like(ray_count, dtype=torch.bool),
            ray_count.sum(),
        )

    return build


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """A stand-in where the package tinycudann would be imported from."""
    found, caches = Package(), (tinycudann_hash._grid, tinycudann_mlp._network)
    monkeypatch.setitem(sys.modules, "tinycudann", found)
    for cache in caches:
        cache.cache_clear()
    yield found
    for cache in caches:
        cache.cache_clear()
