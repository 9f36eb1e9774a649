"""A glb file is what the specification of glTF 2.0 asks for, and comes back through an independent reader."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from analytic_shapes import color_of, sphere_mesh

from systems.export.glb import write_glb
from systems.export.texturing import bake_texture
from utils.images import linear_from_srgb
from utils.mesh import Mesh
from utils.mesh.files import read_mesh
from utils.mesh.measures import signed_volume


def colored() -> Mesh:
    mesh = sphere_mesh(2, 0.5, (1.0, 2.0, 3.0))
    return replace(mesh, colors=(color_of(mesh.vertices) * 255).round().astype(np.uint8))


def parts(path) -> tuple[dict, bytes]:
    """The JSON and the binary chunk, read by hand."""
    data = path.read_bytes()
    magic, version, length, size, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), b"JSON")
    binary, kind = struct.unpack_from("<I4s", data, 20 + size)
    assert kind == b"BIN\0"
    assert size % 4 == binary % 4 == 0
    assert len(data) == 28 + size + binary
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def read(path) -> trimesh.Trimesh:
    return trimesh.load(path, process=False, force="mesh")


def test_round_trip(tmp_path):
    mesh = colored()
    write_glb(mesh, tmp_path / "a.glb")
    back = read(tmp_path / "a.glb")
    np.testing.assert_allclose(back.vertices, mesh.vertices, atol=1e-6)
    np.testing.assert_array_equal(back.faces, mesh.faces)
    document, binary = parts(tmp_path / "a.glb")
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["NORMAL"]]
    view = document["bufferViews"][accessor["bufferView"]]  # the reader above computes normals anew
    normals = np.frombuffer(binary, "<f4", 3 * accessor["count"], view["byteOffset"]).reshape(-1, 3)
    np.testing.assert_array_equal(normals, mesh.normals)
    (same,) = trimesh.load_scene(tmp_path / "a.glb", process=False).geometry.values()
    linear = linear_from_srgb(mesh.colors / 255.0)
    np.testing.assert_allclose(same.visual.vertex_attributes["color"], linear, atol=1e-6)
    np.testing.assert_array_equal(read_mesh(tmp_path / "a.glb").colors, mesh.colors)
    assert back.volume == pytest.approx(signed_volume(mesh), rel=1e-5)
    assert back.volume > 0.0
    assert [path.name for path in tmp_path.iterdir()] == ["a.glb"]


def test_what_the_specification_asks_for(tmp_path):
    mesh = colored()
    write_glb(bake_texture(mesh, 64, color_of), tmp_path / "a.glb")
    document, binary = parts(tmp_path / "a.glb")
    assert document["asset"]["version"] == "2.0"
    assert document["buffers"] == [{"byteLength": len(binary)}]
    (primitive,) = document["meshes"][0]["primitives"]
    assert set(primitive["attributes"]) == {"POSITION", "NORMAL", "TEXCOORD_0"}  # colours would tint the texture
    accessors = [document["accessors"][index] for index in primitive["attributes"].values()]
    assert len({accessor["count"] for accessor in accessors}) == 1
    low, high = (np.array(accessors[0][bound]) for bound in ("min", "max"))
    np.testing.assert_allclose([low, high], [mesh.vertices.min(0), mesh.vertices.max(0)], atol=1e-6)
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= len(binary)
    indices = document["accessors"][primitive["indices"]]
    assert indices["count"] == 3 * len(mesh.faces)
    assert indices["max"][0] == accessors[0]["count"] - 1
    view = document["bufferViews"][document["images"][0]["bufferView"]]
    assert binary[view["byteOffset"] :][:8] == b"\x89PNG\r\n\x1a\n"
    assert document["extensionsUsed"] == list(document["materials"][0]["extensions"])


def test_a_texture_comes_back_with_its_places(tmp_path):
    mesh = bake_texture(colored(), 64, color_of)
    write_glb(mesh, tmp_path / "a.glb")
    back = read(tmp_path / "a.glb")
    np.testing.assert_array_equal(np.array(back.visual.material.baseColorTexture.convert("RGB")), mesh.texture.image)
    np.testing.assert_allclose(back.vertices[back.faces], mesh.vertices[mesh.faces], atol=1e-6)
    places = mesh.texture.places[mesh.texture.corners]
    np.testing.assert_allclose(back.visual.uv[back.faces] * [1, -1] + [0, 1], places, atol=1e-6)


def test_a_bare_mesh_is_lit_and_large_coordinates_keep_their_shape(tmp_path):
    mesh = sphere_mesh(1, 2.0, (512_345.25, 5_812_345.5, 80.0))
    write_glb(Mesh(mesh.vertices, mesh.faces), tmp_path / "a.glb")
    document, _ = parts(tmp_path / "a.glb")
    assert "extensionsUsed" not in document
    np.testing.assert_allclose(read(tmp_path / "a.glb").vertices, mesh.vertices, rtol=0, atol=1e-6)
