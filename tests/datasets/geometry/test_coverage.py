"""Which photographs have a place in frame."""

import numpy as np
import torch
from torch.nn.functional import normalize

from datasets.geometry.coverage import count_views
from datasets.poses import look_at
from utils.rays import Photographs


def three_views() -> tuple[Photographs, torch.Tensor]:
    """Two cameras with narrow pictures that look at the origin, and one that looks away from it."""
    eyes = np.array([[4.0, 0.0, 0.0], [0.0, 3.0, 1.0], [0.0, 0.0, 4.0]])
    targets = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 9.0]])
    up = np.array([0.1, 0.2, 1.0])
    c2w = np.stack([look_at(eye, target, up) for eye, target in zip(eyes, targets, strict=True)])
    sizes = torch.tensor([[40, 30], [20, 60], [40, 40]])
    intrinsics = torch.tensor([[80.0, 80.0, 20.0, 15.0], [60.0, 60.0, 10.0, 30.0], [80.0, 80.0, 20.0, 20.0]])
    nothing = torch.zeros(0, 3, dtype=torch.uint8)
    starts = torch.zeros(3, dtype=torch.int64)
    photographs = Photographs(nothing, starts, sizes[:, 0], torch.from_numpy(c2w).float(), intrinsics, 0.0, np.inf)
    return photographs, sizes[:, 1]


def counted_one_by_one(points: torch.Tensor) -> torch.Tensor:
    """(..., 3) bool for points (..., 3): which of the three views have a point in frame."""
    photographs, heights = three_views()
    framed = []
    for c2w, (fx, fy, cx, cy), width, height in zip(
        photographs.c2w, photographs.intrinsics.tolist(), photographs.widths, heights, strict=True
    ):
        x, y, z = ((points - c2w[:, 3]) @ c2w[:, :3]).unbind(-1)
        u, v = fx * x / z + cx, fy * y / z + cy
        framed.append((z > 0) & (u >= 0) & (u <= width) & (v >= 0) & (v <= height))
    return torch.stack(framed, -1)


def test_points_are_counted_in_the_views_that_frame_them() -> None:
    points = 3.0 * (2.0 * torch.rand(4000, 3) - 1.0)
    found = count_views(points, torch.zeros(4000), *three_views(), 3)
    assert torch.equal(found, counted_one_by_one(points).sum(-1))
    assert found.unique().tolist() == [0, 1, 2]


def test_nothing_is_counted_further_than_asked() -> None:
    points, reach = 3.0 * (2.0 * torch.rand(4000, 3) - 1.0), 0.2 * torch.rand(4000)
    counted = count_views(points, reach, *three_views(), 3)
    assert counted.max() == 2
    assert torch.equal(count_views(points, reach, *three_views(), 1), counted.clamp(max=1))


def test_a_ball_counts_where_any_of_it_is_in_frame_and_hardly_elsewhere() -> None:
    points, reach = 3.0 * (2.0 * torch.rand(600, 3) - 1.0), 0.05 + 0.2 * torch.rand(600)
    inside = normalize(torch.randn(600, 800, 3), dim=-1) * torch.rand(600, 800, 1) ** (1 / 3)
    touched = counted_one_by_one(points[:, None] + reach[:, None, None] * inside).any(1).sum(-1)
    found = count_views(points, reach, *three_views(), 3)
    assert (found >= touched).all()
    assert (found > touched).float().mean() < 0.08


def test_a_ball_around_a_camera_is_close_enough() -> None:
    behind = torch.tensor([[4.1, 0.0, 0.0]])
    assert count_views(behind, torch.tensor([0.01]), *three_views(), 3) == 0
    assert count_views(behind, torch.tensor([0.2]), *three_views(), 3) == 1
