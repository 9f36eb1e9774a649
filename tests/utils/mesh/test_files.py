"""Surfaces are read as they stand in the file; what holds none is told in one line."""

import numpy as np
import pytest
import trimesh

from utils.errors import DataError
from utils.mesh import Mesh
from utils.mesh.files import _read_any, read_mesh, read_meshes
from utils.mesh.measures import face_areas
from utils.mesh.ply import read_written, write_ply

PLY = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nelement face 1\n"
PLY += "property list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n"


@pytest.mark.parametrize("suffix", ["ply", "obj", "stl", "glb", "off"])
def test_every_kind_of_file_has_the_same_area(tmp_path, suffix):
    trimesh.creation.box((1, 2, 3)).export(tmp_path / f"box.{suffix}")
    assert face_areas(read_mesh(tmp_path / f"box.{suffix}")).sum() == pytest.approx(22.0)


def test_an_obj_may_begin_with_a_long_preface(tmp_path):
    (tmp_path / "far.obj").write_text("# by hand\n" * 150_000 + "v 0 0 0\nv 1 0 0\nv 0 2 0\nf 1 2 3\n")
    assert face_areas(read_mesh(tmp_path / "far.obj")).sum() == pytest.approx(1.0)


def test_several_files_are_one_mesh(tmp_path):
    for size in (1.0, 2.0):
        trimesh.creation.box((size, size, size)).export(tmp_path / f"{size}.ply")
    mesh = read_meshes([tmp_path / "1.0.ply", tmp_path / "2.0.ply"])
    assert (len(mesh.vertices), len(mesh.faces)) == (16, 24)
    assert face_areas(mesh).sum() == pytest.approx(30.0)


def test_what_no_face_uses_may_be_anything(tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv nan nan nan\nf 1 2 3\n")
    assert np.isfinite(read_mesh(tmp_path / "a.obj").vertices).all()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.obj", None, "no such file"),
        ("a.ply", "nonsense", "does not begin as a ply"),
        ("a.ply", "ply\nnonsense\n", "unreadable"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\n", "with triangles"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 nan 0\nf 1 2 3\n", "NaN or infinity in 1 vertices"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "without any area"),
        ("a.ply", PLY, "outside of 0 to 2"),
    ],
)
def test_what_is_no_surface_is_refused(tmp_path, name, text, expected):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=expected):
        read_mesh(tmp_path / name)


@pytest.mark.parametrize("away", [0.0, 1e6], ids=["floats", "doubles"])
@pytest.mark.parametrize("parts", [(), ("colors",), ("normals", "colors", "views")], ids=["bare", "colours", "all"])
def test_our_own_ply_is_read_as_any_other(tmp_path, away, parts):
    rng, path = np.random.default_rng(0), tmp_path / "a.ply"
    values = {"normals": rng.random((9, 3)).astype(np.float32), "views": rng.integers(0, 999, 9).astype(np.uint16)}
    values["colors"] = rng.integers(0, 256, (9, 3)).astype(np.uint8)
    write_ply(
        Mesh(rng.random((9, 3)) + away, rng.integers(0, 9, (5, 3)), **{name: values[name] for name in parts}), path
    )
    own, other = read_written(path), _read_any(path)
    for name in ("vertices", "faces", "colors", "views"):
        one, two = getattr(own, name), getattr(other, name)
        assert (one is None) == (two is None)
        assert one is None or (one.dtype == two.dtype and (one == two).all())
    path.write_bytes(path.read_bytes()[:-1])
    assert read_written(path) is None


@pytest.mark.parametrize(
    "content", [b"", b"ply\n", PLY.encode(), b"\x00\xff" * 900], ids=["none", "one line", "text", "bytes"]
)
def test_what_is_not_our_own_ply_is_left_to_others(tmp_path, content):
    (tmp_path / "a.ply").write_bytes(content)
    assert read_written(tmp_path / "a.ply") is None
