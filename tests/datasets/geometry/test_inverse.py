"""World to camera where camera to world is meant is told; no honest way to hold a camera is doubted."""

import numpy as np
import pytest

from datasets.geometry.inverse import doubt_of_poses, is_inverse
from datasets.poses import look_at

RANDOM = np.random.default_rng(0)


def inverse(c2w: np.ndarray) -> np.ndarray:
    turned = c2w[:, :, :3].transpose(0, 2, 1)
    return np.concatenate([turned, -turned @ c2w[:, :, 3:]], axis=2)


def looking(positions: np.ndarray, targets: np.ndarray) -> np.ndarray:
    up = np.array([0.0, 0.0, 1.0])
    return np.stack([np.asarray(look_at(*pair, up))[:3] for pair in zip(positions, targets, strict=True)])


@pytest.mark.parametrize("centre", [(0.0, 0.0, 0.0), (0.2, -0.3, 0.1)])
@pytest.mark.parametrize("axes", [1.0, -1.0])  # OpenCV's, and OpenGL's that were turned after the wrong inverse
def test_inverses_of_cameras_around_an_object(centre, axes):
    around = RANDOM.normal(size=(20, 3)) * [1.0, 1.0, 0.5]
    positions = 2.0 * around / np.linalg.norm(around, axis=1, keepdims=True) + centre
    c2w = looking(positions, np.tile(centre, (20, 1)))
    assert not is_inverse(c2w)
    c2w[:, :, 1:3] *= axes
    wrong = inverse(c2w)
    wrong[:, :, 1:3] *= axes
    assert is_inverse(wrong)


def test_other_ways_to_hold_a_camera():
    for _ in range(20):
        places = RANDOM.normal(size=(20, 3))
        walk = np.cumsum(places, axis=0)
        for positions, targets in (
            (places, 5.0 * places),  # outwards
            (0.01 * places, RANDOM.normal(size=(20, 3))),  # a tripod that turns
            (walk, walk + RANDOM.normal(size=(20, 3)) * [1.0, 1.0, 0.2]),
            (places * [0.1, 1.0, 1.0], places * [0.1, 1.0, 1.0] + [9.0, 0.0, 0.0]),  # side by side
            (10.0 * places * [1.0, 1.0, 0.1], 10.0 * places * [1.0, 1.0, 0.1] + [0.01, 0.0, -5.0]),  # from above
        ):
            assert not is_inverse(looking(positions, targets))


def test_cameras_at_one_place_are_told():
    places = RANDOM.normal(size=(9, 3))
    stands = looking(np.tile([4e5, 2.0, 1.0], (9, 1)), [4e5, 2.0, 1.0] + places * [3.0, 0.1, 3.0])
    assert "stand at one place" in doubt_of_poses(stands)
    assert doubt_of_poses(looking(3.0 * places, np.zeros((9, 3)))) is None
    assert doubt_of_poses(stands[:1]) is None
