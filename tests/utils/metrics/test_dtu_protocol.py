"""The DTU protocol on a ball: known distances, and what does not count does not."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from shapes import ball, scanned_ball

from utils.errors import DataError
from utils.mesh import Mesh, join
from utils.metrics.dtu import score_dtu

CENTER, RADIUS = np.array([12.0, -30.0, 600.0]), 10.0
SCAN = scanned_ball()
BESIDE = 0.13  # along the surface to the nearest of points 0.2 apart


def placed(radius: float, shift: tuple[float, float, float] = (0.0, 0.0, 0.0), detail: int = 5) -> Mesh:
    mesh = ball(radius, detail)
    return Mesh(mesh.vertices + CENTER + shift, mesh.faces)


@pytest.mark.parametrize("offset", [0.5, 1.5])
def test_a_larger_ball_is_as_far_as_its_radius(offset):
    found = score_dtu(placed(RADIUS + offset), SCAN)
    assert found["accuracy"] == pytest.approx(offset, rel=0.02)
    assert found["completeness"] == pytest.approx(np.hypot(offset, BESIDE), rel=0.01)
    assert found["overall"] == pytest.approx(0.5 * (found["accuracy"] + found["completeness"]))
    assert found["points_scan"] == pytest.approx(50_000, rel=0.02)  # above the table
    assert 8 < found["points_mesh"] / (2.0 * np.pi * (RADIUS + offset) ** 2) < 15  # of 29 in the densest packing


def test_what_was_not_observed_is_not_measured():
    mesh = placed(RADIUS + 0.5)
    dented = np.where(mesh.vertices[:, :1] < CENTER[0] - 1.0, (mesh.vertices - CENTER) * 1.3 + CENTER, mesh.vertices)
    outside = placed(2.0, (0.0, 0.0, 80.0))  # of the box
    found = score_dtu(join([Mesh(dented, mesh.faces), outside]), SCAN)
    assert found["accuracy"] == pytest.approx(0.5, rel=0.03)
    assert found["completeness"] > 1.0


def test_what_lies_below_the_table_is_not_asked_for():
    mesh = placed(RADIUS + 0.5)
    above = Mesh(mesh.vertices, mesh.faces[(mesh.vertices[mesh.faces][..., 2] > CENTER[2] - 1.5).all(axis=1)])
    assert score_dtu(above, SCAN)["completeness"] == pytest.approx(np.hypot(0.5, BESIDE), rel=0.01)


def test_outliers_are_left_out():
    far = placed(1.0, (RADIUS + 18.0, 0.0, 0.0))  # observed, 17 to 19 mm away
    farther = placed(1.0, (RADIUS + 19.9, 11.0, 11.0))
    assert score_dtu(join([placed(RADIUS + 0.5), far]), SCAN)["accuracy"] > 0.6
    assert score_dtu(join([placed(RADIUS + 0.5), farther]), SCAN)["accuracy"] == pytest.approx(0.5, rel=0.02)


def test_a_coarse_mesh_scores_as_a_fine_one():
    side = np.array([[0, -6, 6], [0, 6, 6], [0, 0, 14.0]]) + CENTER + [15.0, 0.0, 0.0]
    coarse = Mesh(side, np.array([[0, 1, 2]]))
    fine = coarse
    for _ in range(6):
        a, b, c = fine.vertices[fine.faces].transpose(1, 0, 2)
        middles = (a + b) / 2, (b + c) / 2, (c + a) / 2
        parts = [(a, middles[0], middles[2]), (middles[0], b, middles[1]), (middles[2], middles[1], c), middles]
        corners = np.concatenate([np.stack(part, axis=1) for part in parts])
        fine = Mesh(corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3))
    one, other = score_dtu(coarse, SCAN), score_dtu(fine, SCAN)
    assert one["overall"] == pytest.approx(other["overall"], rel=0.02)
    distances = cKDTree(SCAN.points).query(fine.vertices[fine.faces].mean(axis=1))[0]
    assert one["accuracy"] == pytest.approx(distances[distances < 20].mean(), rel=0.02)


@pytest.mark.parametrize(
    ("mesh", "expected"),
    [(ball(), "0 points lie in the observed volume"), (placed(1.0, (29.0, 29.0, 29.0)), "within 20 mm")],
)
def test_a_mesh_elsewhere_is_told(mesh, expected):
    with pytest.raises(DataError, match=expected):
        score_dtu(mesh, SCAN)
