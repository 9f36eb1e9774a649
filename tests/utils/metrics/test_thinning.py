"""Thinned points are neither too close nor too far apart, whatever the triangles are like."""

import numpy as np
import pytest
from scipy.spatial import cKDTree
from shapes import ball, grid

from utils.mesh import Mesh
from utils.metrics.thinning import dense_points, thin

EVERYWHERE = np.array([[-1e3] * 3, [1e3] * 3])


def test_no_two_points_are_close_and_none_left_out_is_far():
    rng = np.random.default_rng(0)
    points = rng.uniform(-3, 5, (20_000, 3)) * [1.0, 1.0, 0.02]
    batches = np.array_split(points, 7)
    kept = thin(batches, 0.2)
    tree = cKDTree(kept)
    assert tree.query(kept, k=2)[0][:, 1].min() >= 0.2
    assert tree.query(points)[0].max() < 0.2
    assert {tuple(point) for point in kept} <= {tuple(point) for point in points}
    np.testing.assert_array_equal(kept[0], points[0])


def test_memory_grows_with_what_is_kept():
    rng = np.random.default_rng(0)
    batches = (rng.uniform(0, 1, (50_000, 3)) for _ in range(20))
    assert len(thin(batches, 0.5)) < 100
    many = thin((rng.uniform(0, 300, (40_000, 3)) for _ in range(4)), 0.2)  # more than there is room for at first
    assert len(many) > 2**16
    assert cKDTree(many).query(many, k=2)[0][:, 1].min() >= 0.2


def stretched() -> Mesh:
    sheet = grid(3)
    return Mesh(sheet.vertices * [20.0, 0.05, 1.0], sheet.faces)


@pytest.mark.parametrize(
    "mesh", [ball(5.0, 2), ball(5.0, 5), grid(2), stretched()], ids=["coarse", "fine", "flat", "thin"]
)
def test_points_cover_the_mesh(mesh):
    rng = np.random.default_rng(0)
    points = thin(dense_points(mesh, 0.2, EVERYWHERE, rng), 0.2)
    weights = rng.dirichlet([1, 1, 1], len(mesh.faces))
    probes = (weights[..., None] * mesh.vertices[mesh.faces]).sum(axis=1)
    assert cKDTree(points).query(probes)[0].max() < 0.4
    lowest, highest = mesh.vertices.min(axis=0) - 1e-9, mesh.vertices.max(axis=0) + 1e-9
    assert ((points >= lowest) & (points <= highest)).all()


def test_a_triangle_of_many_metres_costs_only_what_lies_in_the_box():
    huge = Mesh(np.array([[-1e5, -1e5, 0], [1e5, -1e5, 0], [0, 2e5, 0.0]]), np.array([[0, 1, 2]]))
    points = np.concatenate(
        list(dense_points(huge, 0.2, np.array([[-4, -4, -1], [4, 4, 1.0]]), np.random.default_rng(0)))
    )
    assert (np.abs(points[:, :2]) <= 4).all()
    assert len(points) == pytest.approx(64 / 0.04, rel=0.1)
