"""A mesh that is written while views are rendered: what fails beside them is told as if it had failed before them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from systems.export import exporter
from systems.export.exporter import ExtractedMesh, MeshFile
from systems.training.mesh_beside import MeshBeside
from utils.errors import ReconstructionError
from utils.mesh import Mesh, ply

MODEL = SimpleNamespace(occupancy=SimpleNamespace(value=torch.zeros(1)))
DATA = SimpleNamespace(world_from_scene=np.diag([2.0, 2.0, 2.0, 1.0]), true_mesh=None)
TRIANGLE = Mesh(np.eye(3), np.array([[0, 1, 2]]), colors=np.full((3, 3), 7, np.uint8))


def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, extract) -> MeshBeside:
    monkeypatch.setattr(exporter, "extract_mesh", extract)
    return MeshBeside(MODEL, None, tmp_path / "it3", DATA, lambda split: None, lambda rgb: rgb)


def test_it_is_written_in_world_coordinates_and_reported(monkeypatch, tmp_path) -> None:
    files = [MeshFile(tmp_path / "it3-mc9.ply", TRIANGLE, ply.write_ply)]
    made = ExtractedMesh(TRIANGLE, DATA.world_from_scene, files, {"faces": 1, "extraction_seconds": 0.5})
    mesh = begun(monkeypatch, tmp_path, lambda *args, **options: made)
    report, more, small = mesh.finish()
    assert (report["files"], report["faces"], more) == (["it3-mc9.ply"], 1, {})
    assert report["seconds"] >= report["extraction_seconds"] == 0.5
    np.testing.assert_allclose(ply.read_vertices(tmp_path / "it3-mc9.ply"), 2.0 * np.eye(3))
    assert small is TRIANGLE


def no_room(mesh: Mesh, path: Path) -> None:
    raise OSError(28, "No space left on device")


def test_what_writing_raises_is_raised_at_the_end(monkeypatch, tmp_path) -> None:
    files = [MeshFile(tmp_path / "a.ply", TRIANGLE, no_room)]
    made = ExtractedMesh(TRIANGLE, DATA.world_from_scene, files, {"extraction_seconds": 0.5})
    mesh = begun(monkeypatch, tmp_path, lambda *args, **options: made)
    with pytest.raises(OSError, match="No space left"):
        mesh.finish()
    mesh.drop()


def test_without_a_surface_the_pass_goes_on(monkeypatch, tmp_path) -> None:
    def extract(*args: object, **options: object) -> None:
        raise ReconstructionError("the object has vanished")

    mesh = begun(monkeypatch, tmp_path, extract)
    assert str(mesh.failure) == "the object has vanished"
    assert mesh.finish() == ({"error": "the object has vanished"}, {}, None)
