"""An occupancy grid that follows a surface."""

import torch

from models.occupancy import OccupancyGrid


def test_the_grid_keeps_a_surface_over_many_partial_updates() -> None:
    grid = OccupancyGrid(radius=1.0, resolution=24, threshold=0.01)

    def shell(points: torch.Tensor) -> torch.Tensor:
        return (((points.norm(dim=-1) - 0.6).abs() - grid.half_diagonal) < 0.0).float()

    generator = torch.Generator().manual_seed(3)
    for step in range(80):
        grid.update(shell, generator, every_cell=step == 0)
    directions = torch.nn.functional.normalize(torch.randn(2000, 3), dim=-1)
    cells = ((directions * 0.6 * 0.5 + 0.5) * 24).long()
    assert grid.occupied[cells[:, 0], cells[:, 1], cells[:, 2]].all()
    assert grid.occupied.float().mean() < 0.4


def test_a_cell_is_empty_the_sooner_the_faster_its_value_decays() -> None:
    """The surface leaves the half x < 0 after the first update; there, each visit leaves `decay` of the value 1."""
    for decay, visits in ((0.95, 90), (0.6, 10), (0.0, 1)):
        grid, generator = OccupancyGrid(1.0, 4, 0.01, decay), torch.Generator().manual_seed(0)
        grid.update(lambda points: torch.ones(len(points)), generator, every_cell=True)
        for _ in range(visits):
            assert grid.occupied[:2].all()
            grid.update(lambda points: (points[:, 0] > 0.0).float(), generator, every_cell=True)
        assert not grid.occupied[:2].any()
        assert grid.occupied[2:].all()


def test_the_same_draws_give_the_same_grid() -> None:
    grids = [OccupancyGrid(1.0, 16, 0.01) for _ in range(2)]
    for grid in grids:
        generator = torch.Generator().manual_seed(7)
        for step in range(5):
            grid.update(lambda points: points.norm(dim=-1) * 0.02, generator, every_cell=step == 0)
    assert torch.equal(grids[0].value, grids[1].value)
    assert torch.equal(grids[0].occupied, grids[1].occupied)


def test_an_eighth_of_all_cells_is_drawn_evenly_and_as_many_of_the_occupied_ones() -> None:
    grid, generator = OccupancyGrid(1.0, 16, 0.01), torch.Generator().manual_seed(2)
    grid.occupied.fill_(False)
    grid.occupied[5, 3:7] = True  # 64 cells
    occupied = grid.occupied.view(-1).nonzero()[:, 0]
    hits = torch.zeros(16**3)
    for _ in range(400):
        cells = grid._draw(generator)
        uniform, among = cells[:512], cells[512:]
        assert torch.equal(uniform // 8, torch.arange(512))
        assert torch.equal(among, occupied.repeat_interleave(8))
        hits += torch.bincount(uniform, minlength=16**3)
    # each is drawn 50 times in the mean, by a standard deviation of 6.6
    assert hits.min() > 15
    assert hits.max() < 90


def test_points_lie_in_their_cells() -> None:
    grid = OccupancyGrid(1.5, 6, 0.01)
    cells = torch.arange(216)
    points = grid.points_in_cells(cells, torch.rand(216, 3))
    place = ((points / 3.0 + 0.5) * 6).long()
    assert torch.equal(place[:, 0] * 36 + place[:, 1] * 6 + place[:, 2], cells)
