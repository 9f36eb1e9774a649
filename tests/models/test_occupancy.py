"""An occupancy grid that follows a surface."""

import torch

from models.occupancy import OccupancyGrid


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
