"""An occupancy grid that follows a surface."""

import torch
from torch.nn import functional as F

from models.occupancy import MAX_REOPENING, OccupancyGrid
from models.ops import clip_rays_to_box
from utils.rays import Rays


def test_the_grid_keeps_a_surface_over_many_partial_updates() -> None:
    grid = OccupancyGrid(radius=1.0, resolution=24, threshold=0.01)

    def shell(points: torch.Tensor) -> torch.Tensor:
        return (((points.norm(dim=-1) - 0.6).abs() - grid.half_diagonal) < 0.0).float()

    generator = torch.Generator().manual_seed(3)
    for step in range(40):
        grid.update(shell, generator, every_cell=step == 0)
    directions = torch.nn.functional.normalize(torch.randn(2000, 3), dim=-1)
    cells = ((directions * 0.6 * 0.5 + 0.5) * 24).long()
    assert grid.occupied[cells[:, 0], cells[:, 1], cells[:, 2]].all()
    assert grid.occupied.float().mean() < 0.4


def test_the_same_draws_give_the_same_grid() -> None:
    grids = [OccupancyGrid(1.0, 16, 0.01) for _ in range(2)]
    for grid in grids:
        generator = torch.Generator().manual_seed(7)
        for step in range(5):
            grid.update(lambda points: points.norm(dim=-1) * 0.02, generator, every_cell=step == 0)
    assert torch.equal(grids[0].value, grids[1].value)
    assert torch.equal(grids[0].occupied, grids[1].occupied)


def nothing(points: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(points[:, 0])


def closed_grid() -> OccupancyGrid:
    grid = OccupancyGrid(radius=0.5, resolution=8, threshold=0.01)
    grid.update(nothing, torch.Generator().manual_seed(0), every_cell=True)
    assert not grid.occupied.any()
    return grid


def test_the_cells_along_wanted_rays_open_at_the_next_update_and_close_after_a_while() -> None:
    grid, generator = closed_grid(), torch.Generator().manual_seed(0)
    origins = torch.tensor([[-2.0, 0.05, 0.3], [-2.0, -0.3, -0.3], [-2.0, 3.0, 0.0], [0.3, 0.3, 9.0]])
    directions = torch.tensor([[1.0, 0.0, 0.0]] * 3 + [[0.0, 0.0, -1.0]])
    rays = Rays(origins, directions, torch.zeros(4), torch.full((4,), float("inf")))
    grid.reopen(clip_rays_to_box(rays, 0.5), torch.tensor([True, False, True, True]))  # the third misses the grid
    assert not grid.occupied.any()
    grid.update(nothing, generator, every_cell=True)
    expected = torch.zeros_like(grid.occupied)
    expected[:, 4, 6] = expected[6, 6, :] = True
    assert torch.equal(grid.occupied, expected)
    for _ in range(6):
        grid.update(nothing, generator, every_cell=True)
    assert torch.equal(grid.occupied, expected)
    for _ in range(3):
        grid.update(nothing, generator, every_cell=True)
    assert grid.value.max() < 0.01


def test_an_oblique_ray_opens_a_chain_of_cells_and_no_step_opens_more_than_its_rays() -> None:
    grid = closed_grid()
    num = MAX_REOPENING + 50
    origins = torch.tensor([[-1.0, -0.9, -0.7]]).repeat(num, 1)
    origins[MAX_REOPENING:] *= -1.0
    directions = F.normalize(-origins + torch.tensor([0.0, 0.05, 0.1]), dim=-1)
    rays = Rays(origins, directions, torch.zeros(num), torch.full((num,), 9.0))
    grid.reopen(clip_rays_to_box(rays, 0.5), torch.ones(num, dtype=torch.bool))
    grid.update(nothing, torch.Generator().manual_seed(0), every_cell=True)
    cells = grid.occupied.nonzero().float()
    steps = (cells[1:] - cells[:-1]).abs().amax(-1)
    assert len(cells) >= 8
    assert steps.max() <= 2.0
    distance = torch.linalg.cross((cells + 0.5) / 8 - 0.5 - origins[0], directions[:1]).norm(dim=-1)
    assert distance.max() < grid.half_diagonal  # of the first ray alone


def test_no_wanted_ray_opens_nothing() -> None:
    grid = closed_grid()
    rays = Rays(torch.zeros(3, 3), F.normalize(torch.randn(3, 3), dim=-1), torch.zeros(3), torch.ones(3))
    grid.reopen(clip_rays_to_box(rays, 0.5), torch.zeros(3, dtype=torch.bool))
    grid.update(nothing, torch.Generator().manual_seed(0), every_cell=True)
    assert not grid.occupied.any()
