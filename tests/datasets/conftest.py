"""Fixtures: small scenes on disk."""

from pathlib import Path

import pytest
from scenes_on_disk import write_blender, write_dtu


@pytest.fixture
def blender_root(tmp_path: Path) -> Path:
    """A scene with train, val and test views."""
    write_blender(tmp_path, train=9, val=2, test=3)
    return tmp_path


@pytest.fixture
def dtu_root(tmp_path: Path) -> Path:
    """A scene in the NeuS layout with nine views."""
    write_dtu(tmp_path)
    return tmp_path
