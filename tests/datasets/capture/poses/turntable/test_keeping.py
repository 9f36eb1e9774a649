"""Poses that each went their own way are held to the motion of a turntable; what does not move so stays as it is."""

from pathlib import Path

import numpy as np
import pycolmap
import pytest

from datasets.capture.poses.turntable.keeping import keep_to_motion
from datasets.capture.poses.turntable.solve import solve_turntable
from datasets.geometry.agreement import fit_similarity
from tests.datasets.capture.poses.turntable.test_solve import FOCAL, write_turntable


@pytest.fixture(scope="module")
def solved(tmp_path_factory) -> tuple[Path, list[list[str]], dict, pycolmap.Reconstruction]:
    """A database, the names by ring, the true centres, and poses that are good."""
    database = tmp_path_factory.mktemp("turntable") / "database.db"
    positions, centres = write_turntable(database, -1)
    positions = positions[:2]
    return database, positions, centres, solve_turntable(database, positions)


def spoilt(model: pycolmap.Reconstruction, turned: float) -> pycolmap.Reconstruction:
    """A copy in another frame, whose cameras are each turned and shifted at random, in degrees."""
    copy = pycolmap.Reconstruction(model)
    copy.transform(pycolmap.Sim3d(2.0, pycolmap.Rotation3d(np.array([0.3, -0.5, 0.2, 0.7])), np.array([1.0, 2.0, 3.0])))
    random = np.random.default_rng(1)
    for frame_id in copy.reg_frame_ids():
        pose = copy.frames[frame_id].rig_from_world
        turn = pycolmap.Rotation3d(np.radians(random.normal(0.0, turned, 3)))
        shift = np.radians(random.normal(0.0, turned, 3)) * np.linalg.norm(pose.translation)
        copy.frames[frame_id].rig_from_world = pycolmap.Rigid3d(turn * pose.rotation, pose.translation + shift)
    return copy


def errors(model: pycolmap.Reconstruction, centres: dict) -> np.ndarray:
    """(N,) how far centres are off, in distances of the cameras, after the best similarity."""
    names = [image.name for image in model.images.values()]
    found = np.stack([image.projection_center() for image in model.images.values()])
    true = np.stack([centres[name] for name in names])
    similarity = fit_similarity(found, true)
    moved = found @ similarity[:3, :3].T + similarity[:3, 3]
    return np.linalg.norm(moved - true, axis=1) / np.linalg.norm(true, axis=1).mean()


def test_cameras_that_each_went_their_own_way_come_back_to_their_rings(solved):
    database, positions, centres, model = solved
    bad = spoilt(model, 0.2)
    kept = keep_to_motion(bad, database, positions)
    assert kept is not bad
    assert np.median(errors(bad, centres)) > 0.003
    assert np.median(errors(kept, centres)) < 0.001
    assert kept.cameras[1].focal_length == pytest.approx(FOCAL, rel=0.01)
    heights = np.array([kept.images[i].projection_center()[2] for i in sorted(kept.images)])
    np.testing.assert_allclose(heights[:12], heights[0], atol=1e-6)  # a ring is level: its axis is z


def test_photos_of_a_ring_that_are_missing_leave_the_poses_as_they_are(solved, caplog):
    database, positions, _, model = solved
    caplog.set_level("INFO")
    assert keep_to_motion(model, database, [positions[0][:-1], positions[1]]) is model
    assert "missing" in caplog.text


def test_steps_that_are_not_even_leave_the_poses_as_they_are(solved, caplog):
    database, positions, _, model = solved
    caplog.set_level("INFO")
    halves = [names[::2] + names[1::2] for names in positions]  # the order of two turns of half the photos each
    assert keep_to_motion(model, database, halves) is model
    assert "not even" in caplog.text
