"""Every loader says which way is up, in whatever frame its cameras are, and where the ground and a metre are known."""

from pathlib import Path

import numpy as np
import pytest
from scenes_on_disk import random_image, ring_of_cameras, write_blender, write_dtu, write_transforms

from datasets.blender import BlenderConfig
from datasets.dtu import DTUConfig
from datasets.geometry.axes import likely_up
from datasets.geometry.normalise import move_cameras
from datasets.geometry.planes import Plane
from datasets.region import REGION_FILE, Region, write_region
from datasets.scene import Scene
from datasets.transforms import TransformsConfig
from utils.registry import build

Z = np.array([0.0, 0.0, 1.0])
TILTED = np.array([[1.0, 0.0, 0.0, 4.0], [0.0, 0.8, -0.6, 0.0], [0.0, 0.6, 0.8, 2.0], [0.0, 0.0, 0.0, 1.0]])
IMAGES = [random_image(i, 3) for i in range(9)]


def up_of(scene: Scene) -> np.ndarray:
    """In the world frame."""
    return scene.stand.moved(scene.world_from_scene).up


def test_blender_and_neus_folders(tmp_path: Path) -> None:
    write_blender(tmp_path / "blender", train=9, test=3)
    write_dtu(tmp_path / "dtu")
    for config in (BlenderConfig(str(tmp_path / "blender")), DTUConfig(str(tmp_path / "dtu"))):
        scene = build(config).load("test")
        np.testing.assert_allclose(up_of(scene), Z, atol=1e-5)
        assert (scene.stand.ground, scene.stand.metres_per_unit) == (None, None)


def test_up_by_convention_unless_cameras_are_held_otherwise() -> None:
    cameras = ring_of_cameras(9)
    leant = np.array([0.0, 0.6, 0.8])
    np.testing.assert_array_equal(likely_up(cameras, leant), leant)
    np.testing.assert_allclose(likely_up(cameras, np.array([0.0, 1.0, 0.0])), Z, atol=1e-6)  # y up, as others have it
    np.testing.assert_allclose(likely_up(cameras[:4]), Z, atol=1e-6)  # their mean is not level


def test_transforms_and_what_a_capture_knows(tmp_path: Path) -> None:
    moved = move_cameras(ring_of_cameras(9), TILTED)
    config = TransformsConfig(str(tmp_path))
    write_transforms(tmp_path, moved, IMAGES)
    np.testing.assert_allclose(up_of(build(config).load("test")), Z, atol=1e-6)  # of the format
    up = TILTED[:3, :3] @ Z
    write_region(Region(TILTED[:3, 3], 0.5, up, Plane(up, 1.25), "by hand", 0.04), tmp_path / REGION_FILE)
    scene = build(config).load("test")
    stand = scene.stand.moved(scene.world_from_scene)
    np.testing.assert_allclose(stand.up, up, atol=1e-6)
    assert (stand.ground, stand.metres_per_unit) == (pytest.approx(1.25), pytest.approx(0.04))
    write_region(Region(TILTED[:3, 3], 0.5, up, Plane(-up, -1.25), "hangs", None), tmp_path / REGION_FILE)
    scene = build(config).load("test")
    np.testing.assert_allclose(up_of(scene), up, atol=1e-6)
    assert (scene.stand.ground, scene.stand.metres_per_unit) == (None, None)
