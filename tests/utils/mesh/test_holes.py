"""Holes are found, measured and closed; a closed mesh has none."""

import numpy as np
import pytest
import trimesh

from utils.mesh import Mesh, holes, submesh
from utils.mesh.holes import boundary_loops, close_loops, loop_length
from utils.mesh.measures import signed_volume


def sphere(subdivisions: int = 4) -> Mesh:
    found = trimesh.creation.icosphere(subdivisions)
    return Mesh(np.array(found.vertices, np.float64), np.array(found.faces, np.int64))


def cut(mesh: Mesh, height: float) -> Mesh:
    """Without the cap above a height."""
    return submesh(mesh, mesh.vertices[mesh.faces].mean(axis=1)[:, 2] < height)


def is_closed(mesh: Mesh) -> bool:
    """As an independent judge sees it: each edge has two faces, which wind the same way."""
    judge = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    return judge.is_watertight and judge.is_winding_consistent


def test_a_closed_mesh_has_no_holes():
    assert boundary_loops(sphere(2)) == []


def test_a_sphere_with_a_hole_is_found_and_closed():
    open_sphere = cut(sphere(), 0.8)
    (loop,) = boundary_loops(open_sphere)
    points = open_sphere.vertices[loop]
    np.testing.assert_allclose(points[:, 2], 0.8, atol=0.05)
    assert 2 * np.pi * 0.58 < loop_length(open_sphere, loop) < 1.4 * 2 * np.pi * 0.6  # it runs in a zigzag
    closed = close_loops(open_sphere, [loop])
    assert is_closed(closed)
    assert boundary_loops(closed) == []
    cap = np.pi * 0.2**2 * (3 - 0.2) / 3  # what the flat patch leaves out
    assert signed_volume(closed) == pytest.approx(signed_volume(sphere()) - cap, rel=0.01)
    np.testing.assert_array_equal(closed.faces[: len(open_sphere.faces)], open_sphere.faces)


def test_the_length_of_a_loop():
    square = Mesh(np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0.0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    (loop,) = boundary_loops(square)
    assert loop_length(square, loop) == 8.0


def test_loops_come_from_long_to_short_with_the_surface_on_their_left():
    mesh = cut(sphere(), 0.5)
    mesh = submesh(mesh, mesh.vertices[mesh.faces].mean(axis=1)[:, 0] > -0.9)
    long, short = boundary_loops(mesh)
    assert loop_length(mesh, long) > loop_length(mesh, short)
    ends = set(zip(long.tolist(), np.roll(long, -1).tolist(), strict=True))
    half_edges = {(int(f[k]), int(f[(k + 1) % 3])) for f in mesh.faces for k in range(3)}
    assert ends <= half_edges
    assert not {(b, a) for a, b in ends} & half_edges
    assert boundary_loops(close_loops(mesh, [short])) != []


def test_holes_that_touch_each_other_are_closed():
    mesh = sphere(3)
    keep = np.random.default_rng(0).random(len(mesh.faces)) > 0.15
    mesh = submesh(mesh, keep)
    loops = boundary_loops(mesh)
    assert len(loops) > 50
    assert all(len(set(loop.tolist())) == len(loop) for loop in loops)
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    once = (np.unique(edges, axis=0, return_counts=True)[1] == 1).sum()
    assert sum(map(len, loops)) == once


def test_every_single_face_can_be_put_back():
    mesh = sphere(2)
    keep = np.ones(len(mesh.faces), bool)
    keep[::7] = False
    open_mesh = submesh(mesh, keep)
    closed = close_loops(open_mesh, boundary_loops(open_mesh))
    assert is_closed(closed)
    assert signed_volume(closed) == pytest.approx(signed_volume(mesh), rel=0.02)


def test_long_loops_are_cut_into_parts(monkeypatch):
    monkeypatch.setattr(holes, "MAX_CORNERS", 12)
    mesh = cut(sphere(), 0.2)
    closed = close_loops(mesh, boundary_loops(mesh))
    assert is_closed(closed)
    # Whatever way a flat loop is cut: the patch covers it once.
    whole = signed_volume(sphere()) - np.pi * 0.8**2 * (3 - 0.8) / 3
    assert signed_volume(closed) == pytest.approx(whole, rel=0.04)
