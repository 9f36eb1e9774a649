"""Triangulated points are found once: for attempts of one process, and for a training that is resumed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scenes_on_disk import random_image, ring_of_cameras, write_transforms

from datasets.datamodule import SceneData
from datasets.points import known_points
from datasets.points.object_points import object_points
from datasets.transforms import TransformsConfig

FOUND = np.random.default_rng(0).uniform(-0.2, 0.2, (30, 3)).astype(np.float32)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the scenes that points were triangulated of; nothing is known at first."""
    made: list[str] = []
    monkeypatch.setattr(known_points, "_known", {})
    monkeypatch.setattr("datasets.points.triangulate.triangulate", lambda scene: made.append(scene.name) or FOUND)
    return made


@pytest.fixture
def data(tmp_path) -> SceneData:
    write_transforms(tmp_path, ring_of_cameras(5), [random_image(i, 3) for i in range(5)])
    return SceneData(TransformsConfig(str(tmp_path)), True, 1, "reference")


def test_points_are_triangulated_once_and_go_on_with_the_training(calls, data, monkeypatch, tmp_path):
    assert data.state_dict() == {}
    scene = data.scene("train")
    np.testing.assert_array_equal(object_points(scene, 1.0), FOUND)
    object_points(scene, 1.0)
    assert len(calls) == 1
    torch.save(data.state_dict(), tmp_path / "state.ckpt")
    monkeypatch.setattr(known_points, "_known", {})  # another process
    data.load_state_dict(torch.load(tmp_path / "state.ckpt", weights_only=True))
    np.testing.assert_array_equal(object_points(scene, 1.0), FOUND)
    assert len(calls) == 1


def test_other_photographs_or_cameras_are_triangulated_anew(calls, data):
    scene = data.scene("train")
    others = [scene, replace(scene, pixels=255 - scene.pixels), replace(scene, c2w=1.01 * scene.c2w)]
    for one in (*others, replace(scene, intrinsics=scene.intrinsics + 1.0)):
        object_points(one, 1.0)
    assert len(calls) == 4
