"""What readers that are not ours say of each format: the table of docs/export.md. All of it takes `npm install -g
gltf-validator`, NODE_PATH=$(npm root -g), and `pip install usd-core`."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from analytic_shapes import color_of
from spire import standing

from systems.export.glb import write_glb
from systems.export.normal_map import FullMesh, with_normal_map
from systems.export.obj_ply import write_obj, write_ply
from systems.export.stl import write_stl
from systems.export.texturing import bake_texture
from systems.export.usdz import write_usdz
from utils.mesh import Mesh
from utils.mesh.measures import vertex_normals

UP, METRES = np.array([-0.36, 0.48, -0.8]), 0.05  # of the input; the spire is 6 units high
PAGE = Path(__file__).resolve().parents[3] / "docs" / "export.md"
WRITERS = {"obj": write_obj, "ply": write_ply, "glb": write_glb, "stl": write_stl, "usdz": write_usdz}
VALIDATE = """
const file = require("fs").readFileSync(process.argv[1]);
require("gltf-validator").validateBytes(new Uint8Array(file)).then(found => console.log(JSON.stringify(found.issues)));
"""


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    """The spire, its tip towards UP, with colours, a texture, a normal map of a finer one, and counts of views."""
    bare = standing(tuple(UP), metres_per_unit=METRES)
    bare = replace(bare, views=np.arange(len(bare.vertices), dtype=np.uint16))
    fine = trimesh.Trimesh(bare.vertices, bare.faces, process=False).subdivide()
    fine = Mesh(np.array(fine.vertices), np.array(fine.faces, np.int64))
    return with_normal_map(bake_texture(bare, 64, color_of), FullMesh(replace(fine, normals=vertex_normals(fine))))


def read_by_trimesh(path: Path) -> str:
    """What it finds, in words: whether the surface is closed, where the tip is, how large a unit, what colours it."""
    loaded = trimesh.load(path, force="mesh")
    textured = getattr(loaded.visual, "material", None)
    maps = ["texture"] if getattr(textured, "image", None) or getattr(textured, "baseColorTexture", None) else []
    maps += ["normal map"] if getattr(textured, "normalTexture", None) else []
    maps += ["colours"] if loaded.visual.kind == "vertex" else []
    maps += ["`views`"] if "views" in str(loaded.metadata.get("_ply_raw", {}).get("vertex", {})) else []
    welded = trimesh.Trimesh(loaded.vertices, loaded.faces)  # as one surface, whatever the texture splits
    welded.merge_vertices(merge_tex=True, merge_norm=True)
    sound = ["watertight"] if welded.is_watertight else ["open"]
    sound += ["faces outward"] if welded.is_winding_consistent and welded.volume > 0.0 else ["faces inward"]
    return ", ".join([*sound, standing_in(np.asarray(loaded.vertices)), *maps])


def standing_in(vertices: np.ndarray) -> str:
    """Where the tip of the spire is, and the unit, by its height: the only vertex that lies so far to one side."""
    for name, up in {"+x": (1, 0, 0), "+y": (0, 1, 0), "+z": (0, 0, 1), "the input's axes": UP}.items():
        heights = vertices @ np.array(up, np.float64)
        height = np.ptp(heights)
        for unit, length in {"metres": 6.0 * METRES, "millimetres": 6000.0 * METRES, "the input's unit": 6.0}.items():
            top = np.unique(vertices[heights > heights.max() - 0.01 * height].round(4), axis=0)
            if height == pytest.approx(length, rel=1e-4) and len(top) == 1:
                return f"{name if name[0] == 't' else name + ' up'}, {unit}"
    return "turned in some other way"


def read_by_khronos(path: Path) -> str:
    """How many errors and warnings it finds."""
    if shutil.which("node") is None:
        pytest.skip("there is no node")
    found = subprocess.run(["node", "-e", VALIDATE, str(path)], capture_output=True, text=True)
    if "Cannot find module" in found.stderr:
        pytest.skip("there is no gltf-validator")
    issues = json.loads(found.stdout)
    return f"{issues['numErrors']} errors, {issues['numWarnings']} warnings, {issues['numInfos']} hints"


def read_by_usd(path: Path) -> str:
    """How many findings its validators have, and how the mesh stands."""
    pytest.importorskip("pxr", reason="usd-core is not installed")
    from pxr import Usd, UsdGeom, UsdValidation

    stage = Usd.Stage.Open(str(path))
    every = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    errors = UsdValidation.ValidationContext(every).Validate(stage)
    (prim,) = [prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)]
    matrix = np.array(UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(0.0))
    vertices = np.array(UsdGeom.Mesh(prim).GetPointsAttr().Get()) @ matrix[:3, :3] + matrix[3, :3]
    return f"{len(errors)} findings, {standing_in(vertices)}"


READERS = {
    "trimesh": read_by_trimesh,
    "the validator of Khronos (`gltf-validator`)": read_by_khronos,
    "the validators of `usd-core`": read_by_usd,
}


@pytest.mark.parametrize(
    ("kind", "reader"),
    [
        *((kind, "trimesh") for kind in ("obj", "ply", "glb", "stl")),
        ("glb", "the validator of Khronos (`gltf-validator`)"),
        ("usdz", "the validators of `usd-core`"),
    ],
)
def test_the_table_says_what_readers_find(mesh: Mesh, kind: str, reader: str, tmp_path: Path) -> None:
    if kind == "usdz":
        pytest.importorskip("pxr", reason="usd-core is not installed")
    WRITERS[kind](mesh, tmp_path / f"a.{kind}")
    row = f"| `{kind}` | {reader} | {READERS[reader](tmp_path / f'a.{kind}')} |"
    assert row in PAGE.read_text(encoding="utf-8").splitlines()


def test_khronos_finds_nothing_in_colours_alone(mesh: Mesh, tmp_path: Path) -> None:
    write_glb(replace(mesh, texture=None), tmp_path / "a.glb")
    assert read_by_khronos(tmp_path / "a.glb") == "0 errors, 0 warnings, 0 hints"
