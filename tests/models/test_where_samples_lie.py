"""Where samples may lie: in the ball that a learned background surrounds, and in what photographs show."""

from dataclasses import replace

import torch
from models_with_background import behind, make_model, make_rays

from models import ops


def test_the_foreground_lies_in_the_ball_alone(device: torch.device) -> None:
    model = make_model("nerf", device)
    model.occupancy_value = lambda points: torch.ones_like(points[:, 0])
    model.occupancy.threshold = 0.5
    model.update_occupancy(torch.Generator(device).manual_seed(0), every_cell=True)
    where = (model.occupancy.occupied.nonzero() + 0.5) * (3.0 / 8) - 1.5
    assert 0.52 < len(where) / 8**3 < 0.9  # of the cube the ball takes 52 %
    assert where.norm(dim=-1).max() < 1.5 + 2 * model.occupancy.half_diagonal
    rays = make_rays(device)
    assert 1.3 < ops.sample_points(rays, model.march(rays, None)).norm(dim=-1).max() < 1.5


def test_what_no_photograph_shows_stays_empty(device: torch.device) -> None:
    model = make_model("neus", device)
    generator = torch.Generator(device).manual_seed(0)
    for field in (model, behind(model)):
        field.occupancy_value = lambda points: torch.ones_like(points[:, 0])
        field.occupancy.threshold = 0.5
    model.config = replace(model.config, grid_min_views=2)
    # one view sees all, another what lies above a plane
    model.limit_to_covered(lambda points, reach, most: 1 + (points[:, 2] + reach > 0.3).long())
    for every_cell in (True, False):
        model.update_occupancy(generator, every_cell)
        for grid, slack in ((model.occupancy, 1.0), (behind(model).occupancy, 3.0)):
            size = 2.0 * grid.radius / grid.resolution
            middles = (grid.occupied.nonzero() + 0.5) * size - grid.radius
            near = middles.norm(dim=-1) < 1.0 + 0.5 * (grid is model.occupancy)  # far away cells are large, and seen
            assert near.sum() > 50
            assert (middles[near][:, 2] > 0.3 / grid.radius - slack * grid.half_diagonal).all()
