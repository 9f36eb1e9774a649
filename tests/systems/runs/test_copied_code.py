"""A run keeps the code that it was made with."""

from pathlib import Path

import pytest

from systems.runs import _CODE, RunFolder
from utils.registry import ROOT


def test_all_code_and_every_config_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("systems.runs._CODE", _CODE)  # all of it, as outside of tests
    run = RunFolder(tmp_path / "run")
    run.create("", {})
    for name in ("launch.py", "configs/base/neus.yaml", "models/neus.py", "utils/mesh/ply.py", "datasets/dtu.py"):
        assert (run.path / "code" / name).read_bytes() == (ROOT / name).read_bytes(), name
    assert not list(run.path.rglob("__pycache__"))
