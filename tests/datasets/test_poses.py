"""The orbit path: a circle whose cameras look at one point."""

import numpy as np
from scenes_on_disk import ring_of_cameras

from datasets.geometry.axes import focus_point
from datasets.poses import orbit


def moved_ring() -> tuple[np.ndarray, np.ndarray]:
    cameras = ring_of_cameras(7)
    centre = np.array([1.0, -2.0, 0.5])
    cameras[:, :, 3] += centre
    return cameras, centre


def test_orbit_looks_at_the_common_point_from_the_mean_distance_and_height():
    cameras, centre = moved_ring()
    path = orbit(cameras, 20)
    offsets = centre - path[:, :, 3]
    np.testing.assert_allclose(np.linalg.norm(offsets, axis=1), 3.0, rtol=1e-4)
    np.testing.assert_allclose(path[:, :, 2], offsets / 3.0, atol=1e-4)
    np.testing.assert_allclose(path[:, 2, 3], 0.5 + 1.2, rtol=1e-4)
    np.testing.assert_allclose(path[0], cameras[0], atol=1e-4)


def test_orbit_is_closed_and_its_rotations_are_right_handed():
    path = orbit(moved_ring()[0], 12).astype(np.float64)
    rotations = path[:, :, :3]
    np.testing.assert_allclose(rotations.transpose(0, 2, 1) @ rotations, np.tile(np.eye(3), (12, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0, rtol=1e-6)
    steps = np.linalg.norm(np.roll(path, -1, axis=0)[:, :, 3] - path[:, :, 3], axis=1)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-5)


def test_one_camera_and_a_camera_straight_above_have_an_orbit():
    one = ring_of_cameras(5)[:1]
    np.testing.assert_allclose(focus_point(one), 0.0, atol=1e-3)
    above = np.array([[[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 2]]])
    for cameras in (one, above):
        assert np.isfinite(orbit(cameras, 4)).all()
