"""A true mesh in other units or another frame is doubted, one where the object is is not."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scenes_on_disk import ring_of_cameras

from datasets.evaluation.truth_in_view import doubt_of_truth
from datasets.scene import Scene
from utils.mesh import Mesh

CORNERS = np.random.default_rng(0).normal(size=(300, 3)) * 0.3
MESH = Mesh(CORNERS, np.arange(300).reshape(100, 3))


@pytest.fixture
def scene():
    """Nine cameras 3 away from the origin; the world is ten times as large, and shifted."""
    world = np.diag([10.0, 10.0, 10.0, 1.0])
    world[:3, 3] = 5.0
    pixels, sizes = np.zeros((9 * 48 * 48, 3), np.uint8), np.full((9, 2), 48)
    intrinsics = np.tile(np.float32([60.0, 60.0, 24.0, 24.0]), (9, 1))
    names = tuple(f"{i}.png" for i in range(9))
    cameras = ring_of_cameras(9).astype(np.float32)
    return Scene("ball", pixels, sizes, cameras, intrinsics, names, world_from_scene=world)


def moved(scale: float, shift: float = 0.0) -> Mesh:
    return replace(MESH, vertices=10.0 * scale * CORNERS + 5.0 + shift)


def test_a_mesh_that_is_there_is_not_doubted(scene):
    for scale in (0.2, 1.0, 4.0):
        assert doubt_of_truth(scene, moved(scale)) is None


@pytest.mark.parametrize(
    ("mesh", "said"),
    [
        (moved(1e-3), r"show it over 0\.\d+% of their width"),
        (moved(1e3), r"show \d\.\d% of it"),
        (moved(1.0, 100.0), r"show 0\.0% of it"),
    ],
)
def test_other_units_and_frames_are_told(scene, mesh, said):
    assert re.search(f"{said}.*dataset\\.gt_mesh=null", doubt_of_truth(scene, mesh) or "")
