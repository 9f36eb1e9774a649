"""Fewer faces, the same shape: corners, area, volume, boundary and winding stay."""

import numpy as np
import pytest
import trimesh

from utils.mesh import Mesh, submesh
from utils.mesh.decimation import clustered, decimate
from utils.mesh.holes import boundary_loops
from utils.mesh.measures import face_areas, signed_volume


def fine_cube(size: float = 1.0, origin: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Mesh:
    found = trimesh.creation.box(bounds=[[0, 0, 0], [1, 1, 1]])
    for _ in range(5):
        found = found.subdivide()
    found.merge_vertices()
    return Mesh(np.array(found.vertices) * size + origin, np.array(found.faces, np.int64))


@pytest.mark.parametrize(("size", "origin"), [(1.0, (0, 0, 0)), (500.0, (1e5, 0, 7)), (1e-3, (0, 0, 0))])
def test_a_cube_keeps_its_corners(size, origin):
    cube = fine_cube(size, origin)
    small = decimate(cube, 100)
    assert len(cube.faces) == 12288
    assert 12 <= len(small.faces) <= 100
    assert face_areas(small).sum() == pytest.approx(6 * size**2, rel=0.01)
    assert signed_volume(small) == pytest.approx(size**3, rel=0.01)
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * size + origin
    distance = np.linalg.norm(corners[:, None] - small.vertices, axis=2).min(axis=1)
    assert distance.max() < 0.01 * size
    judge = trimesh.Trimesh(small.vertices, small.faces, process=False)
    assert judge.is_watertight
    assert judge.is_winding_consistent


def test_a_sphere_keeps_its_radius_and_a_small_mesh_everything():
    found = trimesh.creation.icosphere(5)
    sphere = Mesh(np.array(found.vertices), np.array(found.faces, np.int64))
    small = decimate(sphere, 1000)
    assert len(small.faces) <= 1000
    np.testing.assert_allclose(np.linalg.norm(small.vertices, axis=1), 1.0, atol=0.02)
    assert signed_volume(small) == pytest.approx(signed_volume(sphere), rel=0.005)
    assert decimate(small, 1000) is small


def test_the_boundary_stays_unless_it_is_all_of_the_budget():
    cube = fine_cube()
    open_cube = submesh(cube, cube.vertices[cube.faces].mean(axis=1)[:, 2] < 0.999)
    (rim,) = boundary_loops(open_cube)
    small = decimate(open_cube, 400)
    (kept,) = boundary_loops(small)
    wanted, got = open_cube.vertices[rim], small.vertices[kept]
    assert {tuple(row) for row in wanted.round(9)} == {tuple(row) for row in got.round(9)}
    assert len(decimate(open_cube, 60).faces) <= 60


def test_a_mesh_of_far_too_many_faces_is_clustered_and_keeps_its_place_and_colours():
    found = trimesh.creation.icosphere(5)
    points = np.array(found.vertices)
    colors = np.rint(127.5 * (points + 1.0)).astype(np.uint8)
    sphere = Mesh(points, np.array(found.faces, np.int64), colors=colors, views=np.arange(len(points)))
    assert clustered(sphere, 5000) is sphere
    small = clustered(sphere, 500)
    assert 1000 < len(small.faces) < 4000
    assert np.linalg.norm(small.vertices, axis=1) == pytest.approx(1.0, abs=0.03)
    assert signed_volume(small) == pytest.approx(4.19, rel=0.05)
    assert np.abs(small.colors / 127.5 - 1.0 - small.vertices).max() < 0.2  # of a vertex of the cell
    assert np.abs(small.normals - points[small.views]).max() < 0.05
