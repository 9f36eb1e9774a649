"""What is written comes back through an independent reader: positions, normals, colours and winding."""

import io
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from trimesh.exchange.obj import load_obj
from trimesh.exchange.ply import load_ply

from systems.export.obj_ply import write_obj, write_ply
from utils.mesh import Mesh, Texture
from utils.mesh.measures import signed_volume, vertex_normals
from utils.registry import find, names

WRITERS = {"obj": write_obj, "ply": write_ply}


def tetrahedron(scale=1.0, origin=(0.0, 0.0, 0.0), attributes=True) -> Mesh:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1 / 3, 0], [0, 0, 0.7]]) * scale + origin
    mesh = Mesh(vertices, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]))
    colors = np.array([[255, 0, 0], [0, 128, 1], [3, 4, 254], [77, 66, 55]], np.uint8)
    return Mesh(mesh.vertices, mesh.faces, vertex_normals(mesh), colors) if attributes else mesh


def read(path) -> trimesh.Trimesh:
    """With the normals of the file, which trimesh.load would compute anew."""
    with open(path, "rb") as file:
        if path.suffix == ".ply":
            found = load_ply(file)
        else:
            (found,) = load_obj(io.TextIOWrapper(file, encoding="utf-8"), maintain_order=True)["geometry"].values()
    wanted = ("vertices", "faces", "vertex_normals", "vertex_colors")
    return trimesh.Trimesh(**{k: found[k] for k in wanted if found.get(k) is not None}, process=False)


@pytest.mark.parametrize("suffix", WRITERS)
def test_round_trip(tmp_path, suffix):
    mesh = tetrahedron()
    WRITERS[suffix](mesh, tmp_path / f"mesh.{suffix}")
    back = read(tmp_path / f"mesh.{suffix}")
    np.testing.assert_allclose(back.vertices, mesh.vertices, atol=1e-7)
    np.testing.assert_array_equal(back.faces, mesh.faces)
    np.testing.assert_allclose(back.vertex_normals, mesh.normals, atol=2e-5)
    np.testing.assert_array_equal(back.visual.vertex_colors[:, :3], mesh.colors)
    assert back.volume == pytest.approx(signed_volume(mesh)) == pytest.approx(0.7 / 18)
    assert [p.name for p in tmp_path.iterdir()] == [f"mesh.{suffix}"]


@pytest.mark.parametrize("suffix", WRITERS)
def test_bare_mesh_and_large_world_coordinates(tmp_path, suffix):
    mesh = tetrahedron(2.0, (512_345.25, 5_812_345.5, 80.0), attributes=False)
    WRITERS[suffix](mesh, tmp_path / f"mesh.{suffix}")
    back = read(tmp_path / f"mesh.{suffix}")
    np.testing.assert_allclose(back.vertices, mesh.vertices, rtol=0, atol=1e-7 if suffix == "obj" else 1e-9)
    np.testing.assert_array_equal(back.faces, mesh.faces)


def test_obj_text(tmp_path):
    write_obj(tetrahedron(), tmp_path / "a.obj")
    lines = (tmp_path / "a.obj").read_text().splitlines()
    assert lines[1] == "v 1 0 0 0 0.50196 0.00392"
    assert lines[-1] == "f 2//2 3//3 4//4"
    assert [sum(line.startswith(kind) for line in lines) for kind in ("v ", "vn ", "f ")] == [4, 4, 4]


def test_obj_with_a_texture_names_its_material_and_picture(tmp_path):
    corners = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]])
    places = np.random.default_rng(0).random((12, 2)).round(5)
    image = np.random.default_rng(1).integers(0, 255, (8, 8, 3), np.uint8)
    mesh = replace(tetrahedron(), texture=Texture(image, places, corners))
    write_obj(mesh, tmp_path / "a.obj")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mtl", "a.obj", "a.png"]
    lines = (tmp_path / "a.obj").read_text().splitlines()
    assert lines[:2] == ["mtllib a.mtl", "usemtl surface"]
    assert lines[3] == "v 1 0 0"  # without its colour, which a reader would multiply with the picture
    assert lines[-1] == "f 2/10/2 3/11/3 4/12/4"
    back = trimesh.load(tmp_path / "a.obj", process=False)
    np.testing.assert_array_equal(np.array(back.visual.material.image.convert("RGB")), image)
    np.testing.assert_allclose(back.vertices[back.faces], mesh.vertices[mesh.faces], atol=1e-7)
    np.testing.assert_allclose(back.visual.uv[back.faces], places[corners] * [1, -1] + [0, 1], atol=1e-6)
    assert back.volume > 0
    write_obj(replace(mesh, normals=None), tmp_path / "a.obj")
    assert (tmp_path / "a.obj").read_text().splitlines()[-1] == "f 2/10 3/11 4/12"


def test_ply_positions_are_floats_unless_that_loses_shape(tmp_path):
    for origin, kind in (((0, 0, 0), b"float x"), ((5e6 + 0.1, 0, 0), b"double x")):
        write_ply(tetrahedron(origin=origin), tmp_path / "a.ply")
        assert b"property " + kind in (tmp_path / "a.ply").read_bytes()


def test_both_are_registered():
    assert {"obj", "ply"} <= set(names("exporter"))
    assert find("exporter", "obj").target is write_obj
