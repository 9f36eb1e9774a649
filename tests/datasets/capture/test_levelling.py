"""A prepared model stands upright, whatever its frame was: its table is z = 0, its object above the origin."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from capture_scenes import AXES, cameras, model_of_points, moved, room, surface, table
from scenes_on_disk import write_colmap

from datasets.capture.levelling import Levelling, find_levelling
from datasets.capture.region.estimate_region import estimate_region
from datasets.capture.sparse_model import SparseModel, read_sparse_model
from datasets.capture.undistort import move

TURN = pycolmap.Rotation3d(np.array([0.1, 0.5, -0.7, 0.5]))  # a unit quaternion
TILTED = pycolmap.Sim3d(3.0, TURN, np.array([4.0, -7.0, 2.0]))


def levelled(model: SparseModel, levelling: Levelling) -> SparseModel:
    rotation = pycolmap.Rotation3d(levelling.rotation)
    return moved(model, pycolmap.Sim3d(1.0, rotation, levelling.translation))


def test_the_table_becomes_z_0_below_the_object_and_the_first_camera_looks_along_y() -> None:
    model = moved(model_of_points(np.concatenate([surface(600), table(), room()]), cameras()), TILTED)
    found = find_levelling(model)
    assert found.on_ground
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(found.rotation) > 0.0
    upright = levelled(model, found)
    region = estimate_region(upright)
    np.testing.assert_allclose([*region.ground.normal, region.ground.offset], [0.0, 0.0, 1.0, 0.0], atol=1e-9)
    np.testing.assert_allclose([*region.up, *region.center[:2]], [0.0, 0.0, 1.0, 0.0, 0.0], atol=1e-9)
    tables = upright.points[600:3600, 2]
    assert abs(tables.mean()) < 0.01
    assert upright.points[:600, 2].max() == pytest.approx(2.0 * 3.0 * AXES[2], rel=0.05)
    assert (upright.c2w[:, 2, 3] > 0.0).all()
    assert abs(upright.c2w[0, 0, 3]) < 1e-9
    assert upright.c2w[0, 1, 3] < 0.0


def test_without_a_table_up_is_that_of_the_cameras_and_the_object_is_at_the_origin() -> None:
    model = moved(model_of_points(surface(600), cameras()), TILTED)
    found = find_levelling(model)
    assert not found.on_ground
    upright = levelled(model, found)
    np.testing.assert_allclose(upright.points.mean(axis=0), 0.0, atol=0.15)
    assert (upright.c2w[:, 2, 3] > 0.0).all()


def test_where_no_object_can_be_told_the_frame_stays(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert find_levelling(model_of_points(surface(5), cameras())) is None
    assert "not levelled: sparse model: expected at least 10 points" in caplog.text


def test_cameras_and_points_of_a_folder_move_together_and_are_scaled(tmp_path: Path) -> None:
    points = np.concatenate([surface(60), table(300)])
    write_colmap(
        tmp_path,
        moved(model_of_points(points, cameras()), TILTED).c2w,
        [],
        points=TILTED * points,
        names=[f"{i:03d}.png" for i in range(24)],
    )
    before = read_sparse_model(tmp_path / "sparse/0")
    model = pycolmap.Reconstruction(tmp_path / "sparse/0")
    found = find_levelling(before)
    move(model, found, 0.5)
    model.write(tmp_path / "sparse/0")
    after, expected = read_sparse_model(tmp_path / "sparse/0"), levelled(before, found)
    np.testing.assert_allclose(after.points, 0.5 * expected.points, atol=1e-9)
    np.testing.assert_allclose(after.c2w[:, :, 3], 0.5 * expected.c2w[:, :, 3], atol=1e-9)
    pixels, _ = after.project(3, after.points[:60])
    np.testing.assert_allclose(pixels, before.project(3, before.points[:60])[0], atol=1e-6)
    again = find_levelling(replace(after, colors=before.colors))
    np.testing.assert_allclose(again.rotation[2], [0.0, 0.0, 1.0], atol=1e-9)
    np.testing.assert_allclose(again.translation, 0.0, atol=0.05)  # clusters are found on a grid, which turns with it
    assert abs(again.translation[2]) < 1e-9
