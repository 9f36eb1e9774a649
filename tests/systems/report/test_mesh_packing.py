"""What is unpacked is the mesh that was packed, to the precision of the bytes, in whatever place and size."""

from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
from shapes import ball

from systems.report.mesh_packing import pack_mesh, vertex_colors
from utils.mesh import Mesh, Texture, transform
from utils.mesh.measures import face_areas, signed_volume


def unpack(packed) -> tuple[Mesh, np.ndarray]:
    """As the viewer reads it: the mesh, and its normals."""

    def array(name, kind):
        return np.frombuffer(b64decode(packed[name]), kind).reshape(-1, 3)

    vertices = array("positions", "<u2") / 65535.0 * packed["size"] + packed["low"]
    faces = array("indices", "<u4" if packed["wide"] else "<u2").astype(np.int64)
    colors = None if packed["colors"] is None else array("colors", "u1")
    return Mesh(vertices, faces, colors=colors), array("normals", "i1") / 127.0


@pytest.mark.parametrize("level", [3, 6])
def test_view_counts_come_along(level):
    sphere = ball(1.0, level)
    counts = np.where(sphere.vertices[:, 2] < 0.0, 0, 300).astype(np.uint16)
    packed = pack_mesh(replace(sphere, views=counts), 2000)
    found, views = unpack(packed)[0], np.frombuffer(b64decode(packed["views"]), "u1")
    assert (views[found.vertices[:, 2] < -0.2] == 0).all()
    assert (views[found.vertices[:, 2] > 0.2] == 255).all()
    assert pack_mesh(sphere, 2000)["views"] is None


def painted(mesh: Mesh) -> Mesh:
    return Mesh(mesh.vertices, mesh.faces, colors=(127.5 * (mesh.vertices + 1.0)).round().astype(np.uint8))


@pytest.mark.parametrize(("size", "place"), [(1.0, 0.0), (300.0, 1e6), (1e-3, -2.0)])
def test_small_meshes_come_back(size, place):
    sphere = painted(ball(1.0, 3))
    matrix = np.diag([size, size, size, 1.0])
    matrix[:3, 3] = place
    moved = transform(sphere, matrix)
    packed = pack_mesh(moved, 10_000)
    found, normals = unpack(packed)
    assert np.abs(found.vertices - moved.vertices).max() < 2.0 * size / 65535 * 0.51
    assert np.array_equal(found.faces, moved.faces)
    assert np.array_equal(found.colors, moved.colors)
    assert np.abs(normals - sphere.vertices).max() < 0.02
    assert packed["extent"] == pytest.approx([1.0, 1.0, 1.0])
    assert (packed["vertices"], packed["faces"]) == (len(moved.vertices), len(moved.faces))


@pytest.mark.parametrize("level", [4, 6])
def test_large_meshes_shrink_and_keep_shape_and_colours(level):
    """Level 6 has so many faces that they are gathered before edges collapse."""
    sphere = painted(ball(1.0, level))
    packed = pack_mesh(sphere, 2000)
    found, normals = unpack(packed)
    assert len(sphere.faces) == packed["faces_of_file"] == 20 * 4**level
    assert 1000 < len(found.faces) <= 2000
    assert signed_volume(found) == pytest.approx(4.0 / 3.0 * np.pi, rel=0.03)
    assert face_areas(found).sum() == pytest.approx(4.0 * np.pi, rel=0.03)
    outward = found.vertices / np.linalg.norm(found.vertices, axis=1, keepdims=True)
    assert ((normals * outward).sum(axis=1) > 0.95).all()
    assert np.abs(found.colors / 127.5 - 1.0 - found.vertices).max() < 0.25


def test_many_vertices_need_wide_indices():
    corners = np.random.default_rng(0).random((3 * 30_000, 3))
    packed = pack_mesh(Mesh(corners, np.arange(len(corners)).reshape(-1, 3)), 60_000)
    found, _ = unpack(packed)
    assert packed["wide"]
    assert np.array_equal(found.faces.ravel(), np.arange(len(corners)))
    assert packed["colors"] is None


def test_a_flat_mesh_is_packed():
    flat = Mesh(np.array([[0.0, 0, 5], [2, 0, 5], [0, 1, 5]]), np.array([[0, 1, 2]]))
    found, normals = unpack(pack_mesh(flat, 10))
    assert np.abs(found.vertices - flat.vertices).max() < 1e-4
    assert normals.tolist() == [[0, 0, 1]] * 3


def test_colours_are_read_from_a_texture():
    image = np.zeros((2, 2, 3), np.uint8)
    image[:, 1] = 255, 0, 0
    places = np.array([[0.25, 0.5], [0.75, 0.5], [0.75, 0.25]])
    mesh = Mesh(np.eye(3), np.array([[2, 0, 1]]), texture=Texture(image, places, np.array([[0, 1, 2]])))
    assert vertex_colors(mesh).tolist() == [[255, 0, 0], [255, 0, 0], [0, 0, 0]]
