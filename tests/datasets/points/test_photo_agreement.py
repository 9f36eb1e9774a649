"""Photographs tell cameras that cannot be theirs, without masks and points, and which mistake explains them."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from datasets.datamodule import SceneData
from datasets.points.photo_agreement import check_photographs_and_cameras
from datasets.scene import Scene
from systems.configs import read_experiment
from utils.registry import ROOT


@cache
def photographs() -> Scene:
    dataset = read_experiment([ROOT / "configs/neus-demo.yaml"], []).dataset
    return SceneData(dataset, True, 4, "reference").scene("train")


def turned(scene: Scene, axes: np.ndarray) -> Scene:
    c2w = np.concatenate([scene.c2w[:, :, :3] @ axes, scene.c2w[:, :, 3:]], axis=2)
    return replace(scene, c2w=c2w.astype(np.float32))


def test_right_cameras_are_not_doubted(caplog):
    check_photographs_and_cameras(photographs())
    assert caplog.text == ""


QUARTER = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        (np.diag([-1.0, -1.0, 1.0]), "turned by 180 degrees"),
        (QUARTER, "turned by 270 degrees"),
        (QUARTER.T, "turned by 90 degrees"),
        (np.diag([1.0, -1.0, -1.0]), "OpenCV where OpenGL's"),
    ],
)
def test_a_common_mistake_is_named(axes, told, caplog):
    check_photographs_and_cameras(turned(photographs(), axes))
    assert "the photographs contradict the cameras" in caplog.text
    assert told in caplog.text


def test_cameras_that_no_mistake_explains_are_doubted(caplog):
    scene = photographs()
    check_photographs_and_cameras(replace(scene, intrinsics=scene.intrinsics * np.float32([1.0, 1.0, 0.0, 0.0])))
    assert "of the diagonal beside where the cameras put them" in caplog.text


def test_photographs_without_texture_say_nothing(caplog):
    scene = turned(photographs(), QUARTER)
    check_photographs_and_cameras(replace(scene, pixels=np.full_like(scene.pixels, 255)))
    assert caplog.text == ""
