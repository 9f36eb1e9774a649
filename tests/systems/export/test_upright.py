"""glb, stl and usdz stand upright, as readers other than ours see them; obj and ply keep the frame of the input."""

import json
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from analytic_shapes import color_of
from spire import spire, standing, standing_turn

from systems.export.glb import write_glb
from systems.export.obj_ply import write_obj, write_ply
from systems.export.stl import write_stl
from systems.export.texturing import bake_texture
from systems.export.usdz import write_usdz
from utils.errors import MissingPackageError
from utils.mesh import transform
from utils.mesh.files import read_mesh
from utils.mesh.stand import Stand, object_size

UPS = [(0, 0, 1), (0, 0, -1), (0, 1, 0), (0, -1, 0), (0.6, 0.0, 0.8), (-0.36, 0.48, -0.8)]


def check(vertices: np.ndarray, axis: int, unit: float) -> None:
    """The tip of the spire, the only vertex at its height, is at the top, 3 above the ground at 0."""
    heights = vertices[:, axis]
    assert heights.min() == pytest.approx(0.0, abs=2e-6 * unit)
    assert heights.max() == pytest.approx(3.0 * unit, rel=1e-5)
    assert len(np.unique(vertices[heights > 2.9 * unit].round(4), axis=0)) == 1


@pytest.mark.parametrize("up", UPS)
def test_the_object_stands_on_the_ground_of_each_format(up, tmp_path):
    mesh = standing(up)
    write_glb(mesh, tmp_path / "a.glb")
    write_stl(mesh, tmp_path / "a.stl")
    glb, stl = (trimesh.load(tmp_path / f"a.{name}", force="mesh") for name in ("glb", "stl"))
    check(glb.vertices, 1, 2.0)
    check(stl.vertices, 2, 2.0)
    for found in (glb, stl):
        assert found.is_watertight
        assert found.volume == pytest.approx(8.0 * trimesh.Trimesh(spire().vertices, spire().faces).volume, rel=1e-4)


@pytest.mark.parametrize("write", [write_obj, write_ply])
def test_obj_and_ply_keep_the_frame_of_the_input(write, tmp_path):
    mesh, path = standing((0.6, 0.0, 0.8), metres_per_unit=0.1), tmp_path / f"a.{write.__name__[-3:]}"
    write(mesh, path)
    found = trimesh.load(path, process=False)
    np.testing.assert_allclose(found.bounds, [mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)], atol=1e-5)


def test_z_up_turns_as_blender_turns_it(tmp_path):
    mesh = spire()
    write_glb(mesh, tmp_path / "a.glb")
    found = trimesh.load(tmp_path / "a.glb", process=False, force="mesh")
    x, y, z = mesh.vertices.T
    np.testing.assert_allclose(found.vertices, np.stack([x, z - z.min(), -y], axis=1), atol=1e-6)
    write_stl(mesh, tmp_path / "a.stl")
    corners = trimesh.load(tmp_path / "a.stl", process=False).triangles
    np.testing.assert_allclose(corners, mesh.vertices[mesh.faces] - [0.0, 0.0, z.min()], atol=1e-6)


def test_a_known_ground_is_at_0_and_lengths_are_metres(tmp_path):
    mesh = standing((0, 1, 0), ground=-8.0, metres_per_unit=0.01)  # the foot of the object is at y = -7
    write_glb(mesh, tmp_path / "a.glb")
    write_stl(mesh, tmp_path / "a.stl")
    glb, stl = (trimesh.load(tmp_path / f"a.{name}", force="mesh") for name in ("glb", "stl"))
    np.testing.assert_allclose(glb.bounds[:, 1], [0.01, 0.07], atol=1e-6)
    np.testing.assert_allclose(stl.bounds[:, 2], [10.0, 70.0], atol=1e-4)
    assert told(tmp_path / "a.glb") == {"unit": "metres"}
    assert (tmp_path / "a.stl").read_bytes()[:80].rstrip(b"\0") == b"PhotoSurf, millimetres, +z is up"
    back = read_mesh(tmp_path / "a.glb")
    np.testing.assert_allclose(back.vertices, mesh.vertices, atol=1e-5)
    np.testing.assert_allclose(read_mesh(tmp_path / "a.glb", upright=True).vertices, glb.vertices, atol=1e-6)


def test_nothing_turns_where_up_is_unknown(tmp_path):
    mesh = replace(spire(), stand=Stand())
    for name, write in {"glb": write_glb, "stl": write_stl}.items():
        write(mesh, tmp_path / f"a.{name}")
        found = trimesh.load(tmp_path / f"a.{name}", force="mesh")
        np.testing.assert_allclose(found.bounds, [mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)], atol=1e-6)
    assert told(tmp_path / "a.glb") == {"unit": "scene units"}


@pytest.mark.parametrize("up", UPS)
def test_size_is_that_of_the_standing_object(up):
    turned = trimesh.transformations.rotation_matrix(0.6, (0, 0, 1)) @ np.diag([1.0, 3.0, 2.0, 1.0])
    box = (np.array(trimesh.creation.box().vertices) @ turned[:3, :3].T) @ standing_turn(up)[:3, :3].T + 7.0
    stand = Stand(np.array(up, np.float64))
    size = object_size(box, stand, 10.0)
    assert size == {"width": pytest.approx(60.0), "depth": pytest.approx(20.0), "height": pytest.approx(40.0)} | {
        "unit": "scene units"
    }
    known = object_size(box, replace(stand, metres_per_unit=0.01), 10.0)
    assert (known["width"], known["height"], known["unit"]) == (pytest.approx(0.06), pytest.approx(0.04), "metres")


def test_far_from_the_origin_a_print_keeps_its_shape(tmp_path):
    far = np.eye(4)
    far[:3, 3] = 512_345.25, 5_812_345.5, 80.0
    write_stl(transform(spire(), far), tmp_path / "a.stl")
    found = trimesh.load(tmp_path / "a.stl")
    assert found.is_watertight
    np.testing.assert_allclose(np.ptp(found.bounds, axis=0), np.ptp(spire().vertices, axis=0), atol=1e-6)


def told(path: Path) -> dict:
    """asset.extras of a glb."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20 : 20 + size])["asset"]["extras"]


@pytest.mark.parametrize("textured", [False, True])
@pytest.mark.parametrize("metres", [None, 0.1])
def test_usdz_passes_its_validators(textured, metres, tmp_path):
    pytest.importorskip("pxr", reason="usd-core is not installed")
    from pxr import Usd, UsdGeom, UsdShade, UsdValidation

    mesh = standing((0.6, 0.0, 0.8), metres_per_unit=metres)
    mesh = bake_texture(mesh, 64, color_of) if textured else mesh
    write_usdz(mesh, tmp_path / "a.usdz")
    assert [path.name for path in tmp_path.iterdir()] == ["a.usdz"]
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    registry = UsdValidation.ValidationRegistry()
    errors = UsdValidation.ValidationContext(registry.GetOrLoadAllValidators()).Validate(stage)
    assert [f"{error.GetName()}: {error.GetMessage()}" for error in errors] == []
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert stage.GetRootLayer().customLayerData["unit"] == ("scene units" if metres is None else "metres")
    (prim,) = [prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]
    matrix = np.array(UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(0.0))
    vertices = np.array(UsdGeom.Mesh(prim).GetPointsAttr().Get()) @ matrix[:3, :3] + matrix[3, :3]
    check(vertices, 1, 2.0 * (metres or 1.0))
    faces = np.array(UsdGeom.Mesh(prim).GetFaceVertexIndicesAttr().Get()).reshape(-1, 3)
    assert trimesh.Trimesh(vertices, faces).volume > 0.0
    material, _ = UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()
    assert material
    st = UsdGeom.PrimvarsAPI(prim).GetPrimvar("st")
    if textured:
        flattened = np.array(st.ComputeFlattened()).reshape(-1, 3, 2)
        places = mesh.texture.places[mesh.texture.corners]
        np.testing.assert_allclose(flattened * [1.0, -1.0] + [0.0, 1.0], places, atol=1e-6)
    else:
        assert not st
        assert len(UsdGeom.Gprim(prim).GetDisplayColorAttr().Get()) == len(vertices)


def test_usdz_without_its_package_ends_in_a_line(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(MissingPackageError, match=r"^usd-core is not installed\. .* leave usdz out of export\.formats"):
        write_usdz(spire(), tmp_path / "a.usdz")
