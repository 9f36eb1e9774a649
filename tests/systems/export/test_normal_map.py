"""A small mesh is shaded like the full one: its normal map, read as a shader reads it, from the file too."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from analytic_shapes import color_of, sphere_mesh
from PIL import Image

from systems.export.glb import write_glb
from systems.export.normal_map import FullMesh, vertex_of_places, vertex_tangents, with_normal_map
from systems.export.texturing import bake_texture
from utils.mesh import Mesh, transform
from utils.mesh.atlas import texels_of
from utils.mesh.decimation import decimate
from utils.mesh.measures import vertex_normals

SIZE = 256


def bumpy() -> Mesh:
    """A unit sphere with waves of 2 % across it."""
    ball = sphere_mesh(5)
    mesh = Mesh(ball.vertices * radius(ball.vertices)[:, None], ball.faces)
    return replace(mesh, normals=vertex_normals(mesh))


def radius(points: np.ndarray) -> np.ndarray:
    """(N,): of the bumpy sphere in the direction of points (N, 3)."""
    return 1.0 + 0.02 * np.sin(12.0 * points / np.linalg.norm(points, axis=1, keepdims=True)).prod(axis=1)


def normal_of_bumps(points: np.ndarray) -> np.ndarray:
    """(N, 3) unit normals of the bumpy sphere, by differences, where the rays to points (N, 3) meet it."""
    points = points / np.linalg.norm(points, axis=1, keepdims=True) * radius(points)[:, None]
    beyond = [
        np.linalg.norm(at, axis=1) - radius(at) for step in 1e-4 * np.eye(3) for at in (points + step, points - step)
    ]
    normals = np.stack([beyond[2 * k] - beyond[2 * k + 1] for k in range(3)], axis=1)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def small_of(full: Mesh, faces: int = 800) -> Mesh:
    mesh = decimate(full, faces)
    return bake_texture(replace(mesh, normals=vertex_normals(mesh)), SIZE, color_of)


@pytest.fixture(scope="module")
def full() -> Mesh:
    return bumpy()


@pytest.fixture(scope="module")
def mapped(full: Mesh) -> Mesh:
    return with_normal_map(small_of(full), FullMesh(full))


def shaded(mesh: Mesh, tangents: np.ndarray, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, interpolated normals, and normals with the map, of each texel on the mesh, as shaders have them."""
    places, corners, vertex = mesh.texture.places, mesh.texture.corners, vertex_of_places(mesh)
    normals = mesh.normals[vertex]
    axes = tangents[:, :3], np.cross(normals, tangents[:, :3]) * tangents[:, 3:], normals
    t, b, n = (texels_of(Mesh(mesh.vertices[vertex], corners, axis), places, corners, len(picture)) for axis in axes)
    x, y, z = (picture[n.row, n.column] / 255.0 * 2.0 - 1.0).T
    found = x[:, None] * t.normals + y[:, None] * b.normals + z[:, None] * n.normals
    return n.points, n.normals, found / np.linalg.norm(found, axis=1, keepdims=True)


def degrees(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos((a * b).sum(axis=1).clip(-1.0, 1.0))).mean())


def test_shading_is_that_of_the_full_mesh(mapped):
    points, plain, found = shaded(mapped, vertex_tangents(mapped), mapped.texture.normals)
    truth = normal_of_bumps(points)
    assert degrees(plain, truth) > 4.0
    assert degrees(found, truth) < 1.5


def test_tangents_are_square_to_normals_and_follow_the_picture(mapped):
    tangents, vertex = vertex_tangents(mapped), vertex_of_places(mapped)
    np.testing.assert_allclose(np.linalg.norm(tangents[:, :3], axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose((tangents[:, :3] * mapped.normals[vertex]).sum(axis=1), 0.0, atol=1e-6)
    points, corners = mapped.vertices[vertex], mapped.texture.corners
    up = np.cross(mapped.normals[vertex], tangents[:, :3]) * tangents[:, 3:]
    for axis, direction in ((0, tangents[:, :3]), (1, -up)):  # v points down in the picture
        along = points[corners[:, 1]] - points[corners[:, 0]]
        step = mapped.texture.places[corners[:, 1]] - mapped.texture.places[corners[:, 0]]
        alone = np.abs(step[:, 1 - axis]) < 0.1 * np.abs(step[:, axis])  # edges along this axis of the picture
        assert alone.sum() > 20
        signs = (along * direction[corners[:, 0]]).sum(axis=1)[alone] * np.sign(step[alone, axis])
        assert (signs > 0.0).all()


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_tangents_move_with_the_mesh(mapped, mirror):
    matrix = np.eye(4)
    matrix[:3, :3] = 2.0 * np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, mirror]])
    moved, tangents = vertex_tangents(transform(mapped, matrix)), vertex_tangents(mapped)
    np.testing.assert_allclose(moved[:, :3], tangents[:, :3] @ matrix[:3, :3].T / 2.0, atol=1e-6)
    np.testing.assert_allclose(moved[:, 3], mirror * tangents[:, 3])


def test_where_surfaces_agree_the_map_is_flat():
    full = trimesh.creation.box((2.0, 2.0, 2.0)).subdivide_loop(0).subdivide().subdivide().subdivide()
    full = Mesh(np.array(full.vertices), np.array(full.faces, np.int64))
    flat = np.array([0.0, 0.0, 1.0], np.float32)
    lid = Mesh(full.vertices, full.faces[(full.vertices[full.faces, 2] > 0.999).all(axis=1)])
    lid = replace(lid, normals=np.tile(flat, (len(lid.vertices), 1)))
    square = np.array([[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
    small = Mesh(square, np.array([[0, 1, 2], [0, 2, 3]]), np.tile(flat, (4, 1)))
    found = with_normal_map(bake_texture(small, 32, color_of), FullMesh(lid))
    assert (found.texture.normals == [128, 128, 255]).all()


def test_a_slope_to_the_right_and_up_has_the_signs_of_gltf():
    axes = np.linspace(-1.0, 1.0, 21)
    x, y = (grid.ravel() for grid in np.meshgrid(axes, axes, indexing="ij"))
    tilted = np.array([0.3, 0.5, 1.0]) / np.linalg.norm([0.3, 0.5, 1.0])
    cell = (np.arange(20)[:, None] * 21 + np.arange(20)).ravel()[:, None]
    faces = np.vstack([cell + np.array(corners) for corners in ([0, 21, 22], [0, 22, 1])])
    full = Mesh(np.stack([x, y, 0.0 * x], axis=1), faces, np.tile(tilted.astype(np.float32), (len(x), 1)))
    square = np.array([[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]])
    small = Mesh(square, np.array([[0, 1, 2], [0, 2, 3]]), np.tile(np.float32([0, 0, 1]), (4, 1)))
    baked = bake_texture(small, 32, color_of)
    upright = np.stack([0.5 + 0.5 * square[:, 0], 0.5 - 0.5 * square[:, 1]], axis=1)  # +y up in the picture
    baked = replace(baked, texture=replace(baked.texture, places=upright, corners=small.faces))
    picture = with_normal_map(baked, FullMesh(full)).texture.normals
    np.testing.assert_allclose(picture[5, 7], (tilted * 0.5 + 0.5) * 255.0, atol=1.0)


def test_the_other_side_of_a_thin_wall_is_not_taken():
    front, back = sphere_mesh(3), sphere_mesh(3)
    inner = Mesh(back.vertices * 0.999, back.faces[:, ::-1], -back.normals)
    wall = Mesh(
        np.vstack([front.vertices, inner.vertices]),
        np.vstack([front.faces, inner.faces + len(front.vertices)]),
        np.vstack([front.normals, inner.normals]),
    )
    directions = front.vertices[::7]
    np.testing.assert_allclose(FullMesh(wall).normals_near(0.998 * directions, directions), directions, atol=0.02)


def test_files_hold_map_and_tangents(mapped, full, tmp_path):
    write_glb(mapped, tmp_path / "a.glb")
    found = trimesh.load(tmp_path / "a.glb", force="mesh", process=False)
    np.testing.assert_array_equal(
        np.asarray(found.visual.material.normalTexture.convert("RGB")), mapped.texture.normals
    )
    np.testing.assert_array_equal(
        np.asarray(found.visual.material.baseColorTexture.convert("RGB")), mapped.texture.image
    )
    data = (tmp_path / "a.glb").read_bytes()
    size = int.from_bytes(data[12:16], "little")
    document, binary = json.loads(data[20 : 20 + size]), data[28 + size :]
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["TANGENT"]]
    start = document["bufferViews"][accessor["bufferView"]]["byteOffset"]
    tangents = np.frombuffer(binary, "<f4", 4 * accessor["count"], start).reshape(-1, 4)
    view = document["bufferViews"][document["images"][document["textures"][1]["source"]]["bufferView"]]
    png = Image.open(io.BytesIO(binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]))
    points, plain, lit = shaded(mapped, tangents.astype(np.float64), np.asarray(png))
    truth = FullMesh(full).normals_near(points, plain)
    assert degrees(lit, truth) < 0.6
    assert accessor["type"] == "VEC4"
    assert set(np.unique(tangents[:, 3])) <= {-1.0, 1.0}


def test_without_a_texture_or_fewer_faces_nothing_is_made(full):
    bare = decimate(full, 800)
    bare = replace(bare, normals=vertex_normals(bare))
    assert with_normal_map(bare, FullMesh(full)) is bare
    textured = small_of(full)
    assert with_normal_map(textured, FullMesh(textured)) is textured


def test_the_nearest_point_of_a_face_decides():
    rng = np.random.default_rng(0)
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.1, 0.0], [0.2, 0.8, 0.0]])
    normals = np.array([[0.6, 0.0, 0.8], [0.0, 0.6, 0.8], [-0.6, 0.0, 0.8]], np.float32)
    face = Mesh(corners, np.array([[0, 1, 2]]), normals)
    steps = np.linspace(0.0, 1.0, 201)
    v, w = (grid.ravel() for grid in np.meshgrid(steps, steps))
    weights = np.stack([1.0 - v - w, v, w], axis=1)[v + w <= 1.0 + 1e-9]
    points = rng.uniform(-0.6, 1.4, (200, 3))
    nearest = np.linalg.norm(points[:, None] - weights @ corners, axis=2).argmin(axis=1)
    wanted = weights[nearest] @ normals
    found = FullMesh(face).normals_near(points, np.tile([0.0, 0.0, 1.0], (200, 1)))
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=0.01)


def test_a_coarse_mesh_has_a_small_picture_of_normals_whose_side_is_a_power_of_two(full):
    coarse = decimate(full, 1300)
    coarse = replace(coarse, normals=vertex_normals(coarse))
    picture = with_normal_map(small_of(coarse, 200), FullMesh(coarse)).texture.normals
    assert picture.shape == (64, 64, 3)  # 652 vertices, about; the colours have 256 x 256
