"""Each vertex knows how many cameras see it: those in front of it, with nothing in between."""

import numpy as np
import pytest
from analytic_shapes import camera_at, joined, sphere_mesh

from utils.mesh.files import read_mesh
from utils.mesh.ply import write_ply
from utils.mesh.view_counts import unseen_area_share, with_view_counts


def test_a_ball_is_seen_from_the_front_and_hidden_behind_another() -> None:
    cameras = [camera_at((6.0, 0.0, 0.0)), camera_at((6.0, 0.5, 0.0)), camera_at((0.0, -6.0, 0.0))]
    mesh = with_view_counts(sphere_mesh(3), cameras)
    x, y, _ = mesh.vertices.T
    assert (mesh.views[(x > 0.5) & (y > 0.2)] == 2).all()
    assert (mesh.views[(x < -0.3) & (y < -0.5)] == 1).all()
    assert (mesh.views[(x > 0.5) & (y < -0.5)] == 3).all()
    assert (mesh.views[(x < -0.3) & (y > 0.3)] == 0).all()
    assert 0.25 < unseen_area_share(mesh) < 0.4  # a quarter of a ball, and what a near camera sees less than half of
    hidden = with_view_counts(joined(sphere_mesh(3), sphere_mesh(3, 0.3, (-3.0, 0.0, 0.0))), cameras[:1])
    assert (hidden.views[hidden.vertices[:, 0] < -2.0] == 0).all()


def test_ply_has_them_as_a_property(tmp_path) -> None:
    mesh = with_view_counts(sphere_mesh(2), [camera_at((6.0, 0.0, 0.0))])
    write_ply(mesh, tmp_path / "a.ply")
    assert b"property ushort views\n" in (tmp_path / "a.ply").read_bytes()
    np.testing.assert_array_equal(read_mesh(tmp_path / "a.ply").views, mesh.views)
    write_ply(sphere_mesh(2), tmp_path / "b.ply")
    assert read_mesh(tmp_path / "b.ply").views is None
    assert with_view_counts(mesh, []).views.max() == 0
    assert unseen_area_share(with_view_counts(mesh, [])) == pytest.approx(1.0)
