"""Points end on the zero set of a signed distance, and never outside of their reach."""

import torch
from torch.nn import functional as F

from utils.mesh.level_set import project_to_level

RADIUS = 0.6


def sphere(points):
    """Twice as steep as a distance, and curved: one step does not do."""
    return points.square().sum(-1) / RADIUS - RADIUS, 2.0 * points / RADIUS


def near_sphere(num: int, spread: float) -> torch.Tensor:
    directions = F.normalize(torch.randn(num, 3), dim=-1)
    return directions * (RADIUS + spread * (2.0 * torch.rand(num, 1) - 1.0))


def test_points_end_on_the_zero_set_straight_from_where_they_were():
    points = near_sphere(500, 0.05)
    moved = project_to_level(points, sphere, 0.0, reach=0.1, steps=3)
    torch.testing.assert_close(moved.norm(dim=-1), torch.full((500,), RADIUS), atol=1e-6, rtol=0.0)
    torch.testing.assert_close(F.normalize(moved, dim=-1), F.normalize(points, dim=-1), atol=1e-5, rtol=0.0)


def test_each_step_brings_them_closer():
    points = near_sphere(200, 0.05)
    errors = [(project_to_level(points, sphere, 0.0, 0.1, n).norm(dim=-1) - RADIUS).abs().max() for n in range(4)]
    assert errors[0] > 10.0 * errors[1] > 100.0 * errors[2]


def test_another_level():
    moved = project_to_level(near_sphere(50, 0.02), sphere, 0.05, reach=0.2, steps=4)
    torch.testing.assert_close(sphere(moved)[0], torch.full((50,), 0.05), atol=1e-6, rtol=0.0)


def test_nothing_leaves_its_reach():
    points = near_sphere(200, 0.3)
    moved = project_to_level(points, sphere, 0.0, reach=0.05, steps=3)
    assert (moved - points).norm(dim=-1).max() <= 0.05 + 1e-6
    assert (sphere(moved)[0].abs() <= sphere(points)[0].abs() + 1e-7).all()


def test_a_wrong_gradient_leaves_a_point_where_it_was():
    points = near_sphere(100, 0.05)
    moved = project_to_level(points, lambda x: (sphere(x)[0], -sphere(x)[1]), 0.0, reach=0.1, steps=3)
    torch.testing.assert_close(moved, points)
    flat = project_to_level(points, lambda x: (sphere(x)[0], torch.zeros_like(x)), 0.0, reach=0.1, steps=2)
    torch.testing.assert_close(flat, points)
