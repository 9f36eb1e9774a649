"""Components, holes and closedness of shapes whose answers are known."""

import numpy as np
import pytest
import trimesh
from shapes import ball, grid

from utils.mesh import Mesh, join
from utils.mesh.topology import loops_of, topology


def without_squares(mesh: Mesh, *squares: tuple[int, int]) -> Mesh:
    """The sheet without the squares whose lowest corners are given."""
    middle = mesh.vertices[mesh.faces].mean(axis=1)
    keep = np.ones(len(mesh.faces), bool)
    for square in squares:
        keep &= ~((middle[:, :2] > square) & (middle[:, :2] < np.add(square, 1))).all(axis=1)
    return Mesh(mesh.vertices, mesh.faces[keep])


def test_a_ball_is_closed_and_a_soup_of_its_triangles_too():
    mesh = ball()
    soup = Mesh(mesh.vertices[mesh.faces].reshape(-1, 3), np.arange(3 * len(mesh.faces)).reshape(-1, 3))
    found = topology(soup)
    assert found == topology(mesh)
    assert (found.components, found.watertight, found.holes, found.euler) == (1, True, 0, 2)
    assert found.volume == pytest.approx(4 / 3 * np.pi, rel=0.02)
    assert found.area == pytest.approx(4 * np.pi, rel=0.02)


def test_a_torus_has_no_euler_number():
    torus = trimesh.creation.torus(1.0, 0.3)
    assert topology(Mesh(np.array(torus.vertices), np.array(torus.faces, np.int64))).euler == 0


def test_holes_are_counted_and_measured():
    sheet = topology(without_squares(grid(8), (2, 2), (5, 4), (5, 5)))
    assert sheet.hole_lengths == (32.0, 6.0, 4.0)  # the border of the sheet is a loop as well
    assert (sheet.holes, sheet.watertight, sheet.volume) == (3, False, None)


def test_holes_that_touch_in_a_corner_are_two():
    assert topology(without_squares(grid(8), (2, 2), (3, 3), (4, 4))).hole_lengths == (32.0, 4.0, 4.0, 4.0)


def test_winding_does_not_matter():
    sheet = without_squares(grid(6), (1, 1), (3, 3))
    flipped = Mesh(
        sheet.vertices, np.where(np.arange(len(sheet.faces))[:, None] % 3, sheet.faces, sheet.faces[:, ::-1])
    )
    assert topology(flipped).hole_lengths == (24.0, 4.0, 4.0)


def test_components_and_edges_of_three_faces():
    assert topology(join([ball(3.0), ball(0.5), grid(1)])).components == 3
    fin = Mesh(
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -1, 0.0]]), np.array([[0, 1, k] for k in (2, 3, 4)])
    )
    assert topology(fin).nonmanifold_edges == 1
    assert not topology(fin).watertight


def test_a_face_with_equal_corners_is_none():
    mesh = ball()
    more = Mesh(mesh.vertices, np.concatenate([mesh.faces, [[0, 0, 1]]]))
    assert topology(more).faces == len(mesh.faces)
    assert topology(more).watertight


def test_random_loops_are_told_apart():
    rng = np.random.default_rng(0)
    sizes = rng.integers(3, 30, 50)
    edges, owner, start = [], [], 0
    for loop, size in enumerate(sizes):
        ring = start + np.arange(size)
        edges.append(np.stack([ring, np.roll(ring, 1)], axis=1))
        owner += [loop] * size
        start += size
    order = rng.permutation(len(owner))
    edges = rng.permuted(np.concatenate(edges)[order], axis=1)
    found, owner = loops_of(edges), np.array(owner)[order]
    assert found.max() == 49
    assert len(np.unique(np.stack([found, owner]), axis=1).T) == 50


def test_edges_that_do_not_close_end_somewhere():
    np.testing.assert_array_equal(loops_of(np.array([[0, 1], [1, 2]])), [0, 0])
    assert len(loops_of(np.zeros((0, 2), np.int64))) == 0
