"""Where visitors stand at first."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from viewed_scene import make_viewed_model

from models.occupancy import OccupancyGrid
from systems.viewer.start import FOV, MARGIN, occupied_ball, start_view, upward
from utils.mesh.stand import Stand

UP = np.array([0.0, 0.0, 1.0])
BALL = np.zeros(3), 1.0


class Cameras:
    """Positions of cameras on a circle."""

    def __init__(self, degrees: np.ndarray, height: float) -> None:
        angle = np.radians(degrees)
        self.c2w = np.zeros((len(angle), 3, 4), np.float32)
        self.c2w[:, :, 3] = np.stack([3.0 * np.cos(angle), 3.0 * np.sin(angle), np.full(len(angle), height)], axis=1)


def test_in_front_is_where_the_cameras_are():
    start = start_view(Cameras(np.linspace(40.0, 80.0, 9), 0.9), UP, BALL)
    assert np.degrees(np.arctan2(start.direction[1], start.direction[0])) == pytest.approx(60.0)
    assert np.arcsin(start.direction[2]) == pytest.approx(np.arctan2(0.9, 3.0))
    assert_allclose(start.up, UP)


def test_where_they_go_all_round_the_first_one_says_what_is_in_front():
    start = start_view(Cameras(np.arange(25.0, 385.0, 15.0), 9.0), UP, BALL)
    assert np.degrees(np.arctan2(start.direction[1], start.direction[0])) == pytest.approx(25.0)
    assert np.arcsin(start.direction[2]) == pytest.approx(0.5)  # not as steeply as they look down


def test_cameras_right_above_have_a_front_too():
    cameras = Cameras(np.zeros(3), 3.0)
    cameras.c2w[:, :2, 3] = 0.0
    direction = start_view(cameras, UP, BALL).direction
    assert np.linalg.norm(direction) == pytest.approx(1.0)
    assert np.arcsin(direction[2]) == pytest.approx(0.5)


@pytest.mark.parametrize("aspect", [2.0, 1.0, 390 / 844])
def test_the_object_fills_the_window_and_is_not_cut(aspect):
    start = start_view(Cameras(np.linspace(40.0, 80.0, 9), 0.9), UP, (np.array([0.1, 0.2, 0.3]), 0.7))
    away = start.position(aspect) - start.centre
    half = np.arctan(np.tan(0.5 * FOV) * min(aspect, 1.0))
    assert 0.7 / np.linalg.norm(away) == pytest.approx(np.sin(half) / MARGIN)
    assert_allclose(away / np.linalg.norm(away), start.direction)


def test_the_ball_is_around_what_may_be_surface_but_for_specks():
    grid = OccupancyGrid(1.1, 32, 0.01)
    centre, radius = occupied_ball(grid)  # before the training all cells may be
    assert_allclose(centre, 0.0, atol=1e-6)
    assert radius == pytest.approx(1.1)
    points = grid.points_in_cells(torch.arange(32**3), 0.5)
    inside = (points - torch.tensor([0.2, 0.0, -0.3])).norm(dim=1) < 0.5
    inside[0] = True  # a speck in a corner
    grid.occupied.copy_(inside.view_as(grid.occupied))
    centre, radius = occupied_ball(grid)
    assert_allclose(centre, [0.2, 0.0, -0.3], atol=0.05)
    assert radius == pytest.approx(0.5, abs=0.06)
    grid.occupied.fill_(False)
    assert occupied_ball(grid)[1] == pytest.approx(1.1)


def test_up_is_that_of_exported_files_where_they_have_one():
    tilted = np.array([0.0, 0.6, 0.8])
    assert_allclose(upward(Stand(tilted, 0.1), UP), tilted)
    assert_allclose(upward(Stand(), UP), UP)


def test_a_scene_has_a_start(tmp_path):
    subject = make_viewed_model(tmp_path)
    start = start_view(subject.scene, subject.up, occupied_ball(subject.model.occupancy))
    assert 1.5 < np.linalg.norm(start.position(1.5)) < 6.0
