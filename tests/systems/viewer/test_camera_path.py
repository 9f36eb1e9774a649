"""A path goes through its keyframes, evenly and without a jerk."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from systems.viewer.camera_path import CameraPath
from systems.viewer.requests import CameraState

SIZE = (64, 36)


def around(degrees: float, height: float = 0.0, fov: float = 0.8) -> CameraState:
    """A camera at a distance of 3 that looks at the z axis, upright."""
    angle = np.radians(degrees)
    forward = -np.array([np.cos(angle), np.sin(angle), 0.0])
    right = np.cross(forward, [0.0, 0.0, 1.0])
    position = -3.0 * forward + [0.0, 0.0, height]
    return CameraState(np.stack([right, np.cross(forward, right), forward, position], axis=1), fov, (10, 10))


def shares_of(path: CameraPath, keys: tuple[CameraState, ...]) -> list[float]:
    """At which of many shares of the time the path is nearest to each keyframe."""
    shares = np.linspace(0.0, 1.0, 2001)
    where = np.stack([camera.c2w for camera in path.at(shares, SIZE)])
    return [float(shares[np.abs(where - key.c2w).sum(axis=(1, 2)).argmin()]) for key in keys]


@pytest.mark.parametrize("closed", [False, True])
def test_it_goes_through_its_keyframes(closed):
    keys = around(0.0), around(50.0, 0.4), around(140.0, -0.2, 0.5)
    path = CameraPath(keys, closed)
    for key, share in zip(keys, shares_of(path, keys), strict=True):
        (there,) = path.at(np.array([share]), SIZE)
        assert_allclose(there.c2w, key.c2w, atol=0.02)
        assert there.fov == pytest.approx(key.fov, abs=0.01)
        assert there.size == SIZE
    first, last = path.at(np.array([0.0, 1.0]), SIZE)
    assert_allclose(first.c2w, keys[0].c2w, atol=1e-9)
    assert_allclose(last.c2w, keys[0 if closed else -1].c2w, atol=1e-9)


@pytest.mark.parametrize("closed", [False, True])
def test_it_is_smooth_and_of_rotations(closed):
    path = CameraPath(tuple(around(degrees) for degrees in (0.0, 90.0, 180.0, 270.0)), closed)
    c2w = np.stack([camera.c2w for camera in path.at(np.linspace(0.0, 1.0, 801), SIZE)])
    speed = np.linalg.norm(np.diff(c2w, axis=0), axis=(1, 2))
    assert speed.max() < 1.4 * speed.min()
    assert np.abs(np.diff(speed)).max() < 0.02 * speed.mean()
    rotations = c2w[:, :, :3]
    assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (801, 3, 3)), atol=1e-9)
    assert np.abs(c2w[:, 2, 0]).max() < 1e-6  # the horizon stays level
    if closed:  # and meets its beginning at the same speed
        assert_allclose(c2w[1] - c2w[0], c2w[-1] - c2w[-2], atol=1e-3)
        assert np.linalg.norm(c2w[:, :, 3], axis=1) == pytest.approx(3.0, abs=0.3)


@pytest.mark.parametrize("closed", [False, True])
def test_the_same_keyframe_twice_is_a_rest_and_no_error(closed):
    key = around(10.0)
    for keys in ((key, key), (around(0.0), key, key, around(90.0))):
        cameras = CameraPath(keys, closed).at(np.linspace(0.0, 1.0, 50), SIZE)
        assert all(np.isfinite(camera.c2w).all() for camera in cameras)
