"""The total variation of a hash grid: by hand on ramps, where it reaches, and in a step."""

from dataclasses import replace

import pytest
import torch
from small_models import random_model, random_rays
from torch import Tensor
from torch.testing import assert_close

from models.base import VARIATION_SHARE
from models.encodings import Frequency, HashGrid, ProgressiveBandHashGrid
from models.network_configs import FrequencyConfig, HashGridConfig, ProgressiveBandHashGridConfig
from systems.configs import read_experiment
from utils.errors import ConfigError

SHAPE = {"n_levels": 3, "log2_hashmap_size": 16, "base_resolution": 5, "per_level_scale": 2.0}  # 5, 10, 20: dense


def ramps(grid: HashGrid, slopes: Tensor) -> None:
    """Fills level l with two features: slopes[l] times the vertex's x, and its y."""
    with torch.no_grad():
        for level, slope in zip(grid.spec.levels, slopes, strict=True):
            index = torch.arange(level.resolution**3)
            x, y = index % level.resolution, index // level.resolution % level.resolution
            grid.table[level.offset : level.offset + len(index)] = slope * torch.stack([x, y], dim=1)


def picks(level: int, side: int) -> Tensor:
    return torch.tensor([[(level + 0.5) / 3.0, (side + 0.5) / 6.0]])


@pytest.mark.parametrize("backend", ["reference", "numba", "triton"])
def test_a_step_of_a_cell_changes_a_ramp_by_its_slope(backend: str) -> None:
    grid = HashGrid(HashGridConfig(**SHAPE), backend)
    ramps(grid, torch.tensor([1.0, 10.0, 100.0]))
    point = torch.full((1, 3), 0.43)
    for level, slope in enumerate((1.0, 10.0, 100.0)):
        for side in range(6):
            expected = 0.0 if side % 3 == 2 else slope**2  # nothing changes along z
            found = grid.variation(point, picks(level, side))
            assert_close(found, torch.tensor([expected]), atol=1e-3 * slope**2, rtol=1e-3)


def test_a_constant_grid_varies_nowhere_and_a_border_is_no_step() -> None:
    grid = HashGrid(HashGridConfig(**SHAPE), "reference")
    torch.nn.init.ones_(grid.table)
    assert_close(grid.variation(torch.rand(200, 3), torch.rand(200, 2)), torch.zeros(200))
    ramps(grid, torch.ones(3))
    assert grid.variation(torch.ones(1, 3), picks(1, 0)) == 0.0
    assert grid.variation(torch.ones(1, 3), picks(1, 3)) > 0.5


def test_descent_makes_a_grid_smooth_and_only_where_it_is_asked() -> None:
    grid = HashGrid(HashGridConfig(**SHAPE), "reference")
    torch.nn.init.normal_(grid.table)
    points, random = 0.3 * torch.rand(500, 3), torch.rand(500, 2)
    before = grid.variation(points, random).mean()
    (gradient,) = torch.autograd.grad(before, grid.table)
    with torch.no_grad():
        grid.table -= 5.0 * gradient
    assert grid.variation(points, random).mean() < before
    far = grid.spec.levels[2]
    assert gradient[far.offset : far.offset + far.size].any()
    assert not gradient[far.offset + far.resolution**3 - far.resolution**2 : far.offset + far.resolution**3].any()


def test_levels_that_are_not_open_are_left_alone() -> None:
    grid = ProgressiveBandHashGrid(ProgressiveBandHashGridConfig(**SHAPE, start_level=1, update_steps=10), "reference")
    torch.nn.init.normal_(grid.table)
    for step, opened in ((0, 1), (10, 2), (20, 3)):
        grid.on_step(step)
        (gradient,) = torch.autograd.grad(grid.variation(torch.rand(300, 3), torch.rand(300, 2)).sum(), grid.table)
        moved = [bool(gradient[level.offset : level.offset + level.size].any()) for level in grid.spec.levels]
        assert moved == [index < opened for index in range(3)]


def test_frequencies_have_no_cells() -> None:
    assert Frequency(FrequencyConfig()).variation(torch.rand(5, 3), torch.rand(5, 2)) is None
    experiment = read_experiment(["configs/neus-demo.yaml"], ["system.loss.lambda_grid_tv=0.1"])
    geometry = replace(experiment.model.geometry, xyz_encoding_config=FrequencyConfig())
    with pytest.raises(ConfigError, match=r"lambda_grid_tv: needs .*otype=HashGrid, got VanillaFrequency"):
        replace(experiment, model=replace(experiment.model, geometry=geometry))


@pytest.mark.parametrize("name", ["neus", "nerf"])
def test_a_step_asks_for_a_share_of_its_samples_where_a_loss_reads_it(name: str, device: torch.device) -> None:
    model = random_model(name, device)
    rays, background = random_rays(64, 0.5, device), torch.ones(3, device=device)
    found = {}
    for needs in (frozenset(), frozenset({"grid_tv"})):
        found[needs] = model.render(rays, background, torch.Generator(device).manual_seed(0), needs)
    plain, asked = found.values()
    assert plain.samples.variation is None
    assert_close(plain.rgb, asked.rgb, rtol=0, atol=0)
    assert len(asked.samples.variation) == min(model.capacity // VARIATION_SHARE, len(asked.samples.points))
    assert (asked.samples.variation > 0.0).any()
