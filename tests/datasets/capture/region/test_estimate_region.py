"""The estimated region contains the object and little else, whatever it stands on, in any frame of the model."""

import numpy as np
import pycolmap
import pytest
from capture_scenes import AXES, BALL, cameras, model_of_points, moved, room, surface, table

from datasets.capture.region.cluster_points import enclosing_ball, label_clusters, trimmed_ball
from datasets.capture.region.estimate_region import _CELL, estimate_region, main_cluster, robust_focus
from datasets.region import Region
from utils.errors import DataError

OBJECT = surface(600)
HALF = np.pi


def assert_contains_the_object(region: Region, most: float = 1.35) -> None:
    assert region.contains(surface(5000, seed=9)).mean() > 0.99
    assert region.radius < most * BALL


def test_an_object_on_a_table_is_separated_from_it():
    region = estimate_region(model_of_points(np.concatenate([OBJECT, table(), room()]), cameras()))
    assert_contains_the_object(region)
    assert region.contains(np.array([0.0, 0.0, -AXES[2]]))  # where it touches the table
    np.testing.assert_allclose(region.ground.normal, [0.0, 0.0, 1.0], atol=0.01)
    assert abs(region.ground.offset + AXES[2]) < 0.01
    assert region.up is region.ground.normal


def test_what_stands_beside_it_on_the_table_is_left_out():
    beside = surface(400, seed=3) * 0.6 + [0.0, 1.1, -0.24]
    region = estimate_region(model_of_points(np.concatenate([OBJECT, beside, table(), room()]), cameras()))
    assert_contains_the_object(region)
    assert not region.contains(beside).any()


@pytest.mark.parametrize("rest", [np.zeros((0, 3)), room()], ids=["plain", "room"])
def test_a_free_object(rest):
    region = estimate_region(model_of_points(np.concatenate([OBJECT, rest]), cameras()))
    assert_contains_the_object(region)
    assert region.ground is None
    assert region.up[2] > 0.98


def test_an_object_on_a_wall_seen_from_one_side():
    wall = table()[:, [2, 1, 0]] + [AXES[2] - AXES[0], 0.0, 0.0]
    c2w = cameras(arc=0.8 * HALF, lift=0.2)
    turned = np.array([[np.cos(0.4 * HALF), np.sin(0.4 * HALF), 0.0], [-np.sin(0.4 * HALF), np.cos(0.4 * HALF), 0.0]])
    turned = np.concatenate([turned, [[0.0, 0.0, 1.0]]])
    c2w = turned @ c2w  # the middle of the arc looks along -x, at the wall
    seen = OBJECT[OBJECT[:, 0] > -0.2]
    region = estimate_region(model_of_points(np.concatenate([seen, wall]), c2w))
    assert_contains_the_object(region)
    np.testing.assert_allclose(region.ground.normal, [1.0, 0.0, 0.0], atol=0.02)
    assert region.up[2] > 0.98  # not the normal of the wall


def test_stray_points_and_points_of_two_views_do_not_inflate_it():
    stray = np.random.default_rng(4).uniform(-1.5, 1.5, (60, 3))
    model = model_of_points(np.concatenate([OBJECT, stray]), cameras())
    near = OBJECT * np.random.default_rng(5).uniform(1.0, 2.0, (600, 1))
    model = model_of_points(np.concatenate([model.points, near]), cameras())
    model.track_lengths[-len(near) :] = 2
    assert_contains_the_object(estimate_region(model))


def test_a_plate_that_ends_with_the_object_belongs_to_it():
    turn = np.random.default_rng(7).uniform(0.0, 2.0 * np.pi, 500)
    plate = np.stack([0.55 * np.cos(turn), 0.55 * np.sin(turn), np.full(500, -AXES[2])], axis=1)
    plate[:, :2] *= np.sqrt(np.random.default_rng(8).uniform(0.0, 1.0, (500, 1)))
    region = estimate_region(model_of_points(np.concatenate([OBJECT, plate]), cameras()))
    assert region.contains(plate).all()
    assert region.ground is None


def test_a_flat_object_is_not_taken_for_its_ground():
    flat = table() * [0.2, 0.2, 1.0]
    flat[:, 2] += AXES[2]
    region = estimate_region(model_of_points(flat, cameras()))
    assert region.ground is None
    assert 0.8 < region.radius < 1.1


def test_the_frame_and_the_units_of_the_model_do_not_matter():
    model = model_of_points(np.concatenate([OBJECT, table(), room()]), cameras())
    axis = pycolmap.Rotation3d(np.array([1.9, -0.7, 0.4]))
    similarity = pycolmap.Sim3d(37.0, axis, np.array([500.0, -20.0, 3.0]))
    here, there = estimate_region(model), estimate_region(moved(model, similarity))
    assert there.radius == pytest.approx(37.0 * here.radius, rel=0.03)
    assert np.linalg.norm(there.center - similarity * here.center) < 37.0 * 0.03
    np.testing.assert_allclose(there.up, axis.matrix() @ here.up, atol=0.01)


def test_cameras_held_sideways_leave_the_table_upright():
    c2w = cameras()
    c2w[:, :, :2] = np.stack([c2w[:, :, 1], -c2w[:, :, 0]], axis=2)
    region = estimate_region(model_of_points(np.concatenate([OBJECT, table()]), c2w))
    np.testing.assert_allclose(region.up, [0.0, 0.0, 1.0], atol=0.01)


def test_cameras_that_look_elsewhere_do_not_move_the_focus():
    c2w = cameras()
    c2w[:4, :, :3] = c2w[:4, :, [2, 1, 0]] * [1.0, 1.0, -1.0]
    assert np.linalg.norm(robust_focus(c2w)) < 0.1


def test_too_little_is_refused_with_the_way_out():
    with pytest.raises(DataError, match=r"expected at least 10 points .* got 5 of 5\. .*--roi"):
        estimate_region(model_of_points(OBJECT[:5], cameras()))
    alone = np.array([[0.5, 0.5, 0.5], [1.5, 1.5, 1.5], [-0.5, -0.5, -0.5], [1.5, -0.5, -0.5]])  # by cells
    with pytest.raises(DataError, match=r"expected a cluster of points .* got single ones\. .*--roi"):
        main_cluster(_CELL * alone, np.zeros(3), 1.0)


def test_balls_and_clusters():
    sphere = surface(2000) / AXES * 2.0 + 5.0
    for ball in (enclosing_ball(sphere), trimmed_ball(np.concatenate([sphere, [[9.0, 9.0, 9.0]]]))):
        np.testing.assert_allclose(ball[0], 5.0, atol=0.05)
        assert ball[1] == pytest.approx(2.0, rel=0.02)
    points = np.concatenate([OBJECT, OBJECT + 3.0, [[9.0, 9.0, 9.0]]])
    label = label_clusters(points, 0.2)
    assert len(set(label[:600])) == len(set(label[600:1200])) == 1
    assert label[0] != label[600]
    assert label[-1] == -1
