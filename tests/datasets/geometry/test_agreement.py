"""Cameras that are the same but for a similarity agree; what differs is measured."""

import numpy as np
from scenes_on_disk import ring_of_cameras

from datasets.geometry.agreement import agreement, fit_similarity
from datasets.geometry.normalise import move_cameras

CAMERAS = ring_of_cameras(9)
CAMERAS[::2, 2, 3] += 0.5


def turn(degrees: float) -> np.ndarray:
    """(3, 3) rotation about x."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])


SIMILARITY = np.eye(4)
SIMILARITY[:3, :3], SIMILARITY[:3, 3] = 2.5 * turn(70.0), [3.0, -1.0, 0.5]


def test_a_similarity_is_found_and_leaves_nothing():
    found = agreement(CAMERAS, move_cameras(CAMERAS, SIMILARITY))
    np.testing.assert_allclose(found.similarity, SIMILARITY, atol=1e-9)
    np.testing.assert_allclose(found.centre_errors, 0.0, atol=1e-9)
    np.testing.assert_allclose(found.rotation_errors, 0.0, atol=1e-5)


def test_errors_are_those_that_were_made():
    truth = move_cameras(CAMERAS, SIMILARITY)
    turned = CAMERAS.copy()
    turned[4, :, :3] = turned[4, :, :3] @ turn(2.0)
    turned[5, :, :3] = turned[5, :, :3] @ turn(180.0)
    np.testing.assert_allclose(agreement(turned, truth).rotation_errors, [0, 0, 0, 0, 2, 180, 0, 0, 0], atol=1e-5)
    shifted = CAMERAS.copy()
    shifted[0, :, 3] += [0.0, 0.0, 0.03]  # one per cent of the radius, most of which the fit cannot take back
    errors = agreement(shifted, truth).centre_errors
    assert errors.argmax() == 0
    assert 0.006 < errors[0] < 0.011


def test_a_mirror_is_no_similarity():
    points = np.random.default_rng(0).normal(size=(20, 3))
    found = fit_similarity(points, points * [1.0, 1.0, -1.0])
    assert np.linalg.det(found[:3, :3]) > 0
