"""Meshes keep their volume and their outside under frame changes, and lose just their small components."""

import numpy as np
import pytest

from utils.mesh import Mesh, Texture, join, transform
from utils.mesh.measures import drop_floaters, face_areas, signed_volume, vertex_normals

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
FACES = np.array([f for a, b, c, d in QUADS for f in ((a, b, c), (a, c, d))])


def cube(size: float = 1.0, origin: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    return Mesh(CORNERS * size + origin, FACES)


def similarity(scale: float, reflect: bool, seed: int = 0) -> np.ndarray:
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    if (np.linalg.det(rotation) < 0) != reflect:
        rotation[:, 0] *= -1
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = scale * rotation, [3.0, -2.0, 7.0]
    return matrix


def test_cube_has_its_volume_and_area():
    assert signed_volume(cube(2.0, (5, 5, 5))) == pytest.approx(8.0)
    assert face_areas(cube(2.0)).sum() == pytest.approx(24.0)


def test_volume_survives_large_world_coordinates():
    assert signed_volume(cube(1.0, (5e6, 4e6, 100.0))) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("reflect", [False, True])
def test_transform_keeps_the_outside_out(reflect):
    mesh = cube()
    mesh = Mesh(mesh.vertices, mesh.faces, vertex_normals(mesh), np.full((8, 3), 7, np.uint8))
    moved = transform(mesh, similarity(2.5, reflect))
    assert signed_volume(moved) == pytest.approx(2.5**3)
    np.testing.assert_allclose(moved.normals, vertex_normals(moved), atol=1e-6)
    assert moved.colors is mesh.colors


def test_a_reflection_turns_the_corners_of_a_texture_too():
    texture = Texture(
        np.zeros((2, 2, 3), np.uint8), np.random.default_rng(0).random((36, 2)), np.arange(36).reshape(12, 3)
    )
    mesh = Mesh(CORNERS, FACES, texture=texture)
    moved = transform(mesh, similarity(1.0, True))
    place = {int(v): tuple(p) for v, p in zip(FACES[0], texture.places[texture.corners[0]], strict=True)}
    found = zip(moved.faces[0], moved.texture.places[moved.texture.corners[0]], strict=True)
    assert {int(v): tuple(p) for v, p in found} == place


def test_transform_round_trip():
    matrix = similarity(0.3, True)
    back = transform(transform(cube(), matrix), np.linalg.inv(matrix))
    np.testing.assert_allclose(back.vertices, CORNERS, atol=1e-12)
    np.testing.assert_array_equal(back.faces, FACES)


def test_vertex_normals_point_out_and_have_unit_length():
    normals = vertex_normals(Mesh(np.concatenate([CORNERS, [[9, 9, 9]]]), FACES))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-6)
    assert ((CORNERS - 0.5) * normals[:8]).sum(axis=1).min() > 0
    np.testing.assert_array_equal(normals[8], [0, 0, 1])


def test_floaters_are_dropped_by_area_not_by_face_count():
    small, large = cube(0.1, (4, 0, 0)), cube(1.0)
    mesh, dropped = drop_floaters(join([small, small, large]), 0.05)  # the two small ones coincide: one component
    np.testing.assert_array_equal(mesh.vertices, CORNERS)
    assert signed_volume(mesh) == pytest.approx(1.0)
    assert dropped == [(24, pytest.approx(2 * 0.06 / 6.12))]


def test_largest_component_always_stays():
    mesh, dropped = drop_floaters(join([cube(1.0), cube(0.9, (3, 0, 0)), cube(0.5, (6, 0, 0))]), 1.0)
    assert len(mesh.faces) == 12
    assert [count for count, _ in dropped] == [12, 12]
    assert dropped[0][1] > dropped[1][1]


def test_small_components_stay_where_someone_speaks_for_them():
    asked = []

    def spared(components):
        asked.append(components)
        return [True, False]

    mesh = join([cube(1.0), cube(0.1, (3, 0, 0)), cube(0.05, (4, 0, 0)), cube(0.2, (6, 0, 0))])  # 1, 0.25, 4 %
    kept, dropped = drop_floaters(mesh, 0.05, spared=spared, least_spared=0.005)
    assert len(kept.faces) == 24
    assert [count for count, _ in dropped] == [12, 12]
    np.testing.assert_allclose([part.mean(0) for part in asked.pop()], [(3.05, 0.05, 0.05), (6.1, 0.1, 0.1)])
    drop_floaters(mesh, 0.05, spared=spared, least_spared=0.045)
    drop_floaters(mesh, 0.0, spared=spared)
    assert not asked  # for nothing is doubtful


def test_unwelded_faces_are_one_component_and_attributes_follow():
    soup = cube().vertices[FACES].reshape(-1, 3)
    colors = np.arange(len(soup) * 3, dtype=np.uint8).reshape(-1, 3)
    mesh, dropped = drop_floaters(Mesh(soup, np.arange(len(soup)).reshape(-1, 3), colors=colors), 0.5)
    assert not dropped
    np.testing.assert_array_equal(mesh.colors, colors)


def test_empty_mesh_passes_through():
    empty = Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    assert drop_floaters(empty, 0.1) == (empty, [])
    assert signed_volume(empty) == 0.0
