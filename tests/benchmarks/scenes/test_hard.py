"""The scenes that are hard to reconstruct: their shapes are closed, and Mitsuba renders them where it is installed."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import common
from benchmarks.scenes import hard
from benchmarks.scenes.shapes import FLOOR, WIDTH, WIRE, WIRES, cage, cow, distance_to_cage
from datasets.blender import BlenderConfig, BlenderLoader
from utils.cameras import Camera
from utils.mesh.files import read_mesh
from utils.mesh.measures import signed_volume
from utils.mesh.topology import topology


def test_the_distance_to_the_cage_by_hand() -> None:
    turn = 2.0 * np.pi * 5 / WIRES
    wire = [WIDTH * np.cos(turn), WIDTH * np.sin(turn), -0.5]
    points = torch.tensor([wire, [0.0, 0.0, FLOOR], [0.9, 0.0, FLOOR]], dtype=torch.float32)
    expected = [-WIRE, -0.02, 0.17]  # in the middle of a wire, of the plate; beside the ring of the floor
    assert distance_to_cage(points).tolist() == pytest.approx(expected, abs=1e-4)


def test_the_shapes_are_closed_and_lie_in_the_region() -> None:
    for mesh in (cage(64), cow()):
        found = topology(mesh)
        assert found.watertight
        assert signed_volume(mesh) > 0.0
        assert np.linalg.norm(mesh.vertices, axis=1).max() < 1.1


def test_without_mitsuba_one_line_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str], tmp_path: Path
) -> None:
    monkeypatch.setattr(hard, "find_spec", lambda name: None)
    assert "pip install mitsuba" in refused(hard.work, "--out", str(tmp_path / "scenes"))
    assert not (tmp_path / "scenes").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--samples", "0"], "a whole number from 1 on, got '0'"),
        (["--scenes", "glass"], "'glass'"),
        (["--light", "night"], "'night'"),
    ],
)
def test_bad_arguments_of_scenes_are_one_line(
    more: list[str], said: str, refused: Callable[..., str], tmp_path: Path
) -> None:
    assert said in refused(hard.work, "--out", str(tmp_path), *more)


def test_what_was_rendered_becomes_srgb_with_straight_alpha(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hard, "find_spec", lambda name: None)
    found = np.zeros((1, 3, 10), np.float32)
    found[0, 0, :4] = [1.0, 0.5, 0.0, 1.0]
    found[0, 1, :4] = [0.25, 0.0, 0.0, 0.5]  # half of the pixel is covered by linear light of 0.5
    pixels = hard.developed(found)
    np.testing.assert_array_equal(pixels[0], [[255, 188, 0, 255], [188, 0, 0, 128], [0, 0, 0, 0]])


@pytest.mark.skipif(find_spec("mitsuba") is None, reason="needs mitsuba")
def test_scenes_are_rendered(tmp_path: Path) -> None:
    assert common.run_command(hard.work, ["--out", str(tmp_path), "--scenes", "gold", "--quick"]) == 0
    scene = BlenderLoader(BlenderConfig(str(tmp_path / "gold"))).load("train")
    assert len(scene) == 2
    mesh = read_mesh(tmp_path / "gold" / "gt_mesh.ply")
    for index in range(2):
        image, camera = scene.image(index), Camera(scene.c2w[index], scene.intrinsics[index], scene.sizes[index])
        columns, rows, _ = camera.project(mesh.vertices).T
        covered = np.argwhere(image[..., 3] > 127)
        np.testing.assert_allclose(covered.min(0) + 0.5, [rows.min(), columns.min()], atol=1.5)
        np.testing.assert_allclose(covered.max(0) + 0.5, [rows.max(), columns.max()], atol=1.5)
        inside = image[image[..., 3] == 255]
        assert inside[:, 0].mean() > inside[:, 2].mean() + 20.0  # gold
