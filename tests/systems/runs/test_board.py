"""Meshes are small enough for a browser, and configs are flat enough for a table."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from shapes import ball

from systems.export import exporter
from systems.export.exporter import preview_mesh
from systems.runs.board import hyperparameters
from utils.mesh.measures import vertex_normals


class Model:
    """Colours every point like its normal."""

    occupancy = SimpleNamespace(value=torch.zeros(1))

    def color(self, points: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
        return 0.5 + 0.5 * normals


def test_a_large_mesh_is_decimated_and_coloured_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "PREVIEW_FACES", 500)
    small = preview_mesh(ball(0.5, 4), Model())
    assert 100 < len(small.faces) <= 500
    assert np.linalg.norm(small.vertices, axis=1) == pytest.approx(0.5, rel=0.05)
    assert small.colors / 255.0 == pytest.approx(0.5 + 0.5 * vertex_normals(small), abs=0.01)


def test_a_small_mesh_without_colours_gets_some() -> None:
    mesh = ball(0.5, 2)
    assert preview_mesh(mesh, Model()).faces is mesh.faces
    assert preview_mesh(mesh, Model()).colors.dtype == np.uint8


def test_nested_keys_are_those_of_the_command_line() -> None:
    node = {"a": {"b": {"c": 1, "d": [0, 0.5]}, "e": None}, "f": True, "g": "x"}
    assert hyperparameters(node) == {"a.b.c": 1, "a.b.d": "[0, 0.5]", "a.e": "None", "f": True, "g": "x"}
