"""The mesh of a run is the last one that it exported, in the file that is read fastest."""

import os

import pytest

from systems.runs import find_mesh
from utils.errors import CheckpointError


def test_the_newest_mesh_of_a_run_is_found(tmp_path):
    (tmp_path / "save").mkdir()
    for age, name in enumerate(
        [
            "it1000-mc512-lod9.glb",
            "it900-mc64.ply",
            "it1000-mc512.stl",
            "it1000-mc512.ply",
            "it1000-mc64.obj",
            "it9.mp4",
        ]
    ):
        path = tmp_path / "save" / name
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    assert find_mesh(tmp_path) == tmp_path / "save/it1000-mc512.ply"
    assert find_mesh(tmp_path / "save/it900-mc64.ply") == tmp_path / "save/it900-mc64.ply"


def test_a_folder_without_a_mesh_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="no mesh in it"):
        find_mesh(tmp_path)
