"""Sparse points are kept where the masks of nearly all views show the object."""

from dataclasses import replace

import numpy as np
import pytest
from analytic_shapes import cameras_around, photograph

from datasets.points.object_points import object_points, points_on_object
from datasets.scene import Scene


def scene(points: np.ndarray | None) -> Scene:
    """Photographs with alpha of a sphere of radius 0.5."""
    cameras = cameras_around(8, 3.0)
    return Scene(
        name="ball",
        pixels=np.concatenate([photograph(camera, 0.5).reshape(-1, 4) for camera in cameras]),
        sizes=np.array([camera.size for camera in cameras]),
        c2w=np.stack([camera.c2w for camera in cameras]).astype(np.float32),
        intrinsics=np.stack([camera.intrinsics for camera in cameras]).astype(np.float32),
        image_names=tuple(map(str, range(len(cameras)))),
        points=points,
    )


def test_points_on_the_object_are_kept_and_others_are_not():
    random = np.random.default_rng(0).normal(size=(50, 3))
    sphere = random / np.linalg.norm(random, axis=1, keepdims=True)
    on, off, away = 0.45 * sphere, 0.8 * sphere, 5.0 * sphere
    found = scene(np.concatenate([on, off, away]).astype(np.float32))
    np.testing.assert_allclose(points_on_object(found, 1.0), on, rtol=1e-6)
    without_masks = replace(found, pixels=np.ascontiguousarray(found.pixels[:, :3]))
    np.testing.assert_allclose(points_on_object(without_masks, 1.0), np.concatenate([on, off]), rtol=1e-6)


def test_points_do_not_count_where_most_views_are_not_to_look():
    random = np.random.default_rng(0).normal(size=(200, 3))
    points = (0.5 * random / np.linalg.norm(random, axis=1, keepdims=True)).astype(np.float32)
    found = scene(points)
    masks = np.ones((8, *found.sizes[0, ::-1]), bool)
    masks[:, :, : masks.shape[2] * 11 // 20] = False  # a little more than the left half of each view
    masks[0] = True
    shares = []
    for index, camera in enumerate(cameras_around(8, 3.0)):
        column, row = camera.project(points)[:, :2].astype(int).T
        shares.append(masks[index, row, column])
    looked_at = np.mean(shares, axis=0) >= 0.5
    assert 0.2 < looked_at.mean() < 0.9
    whole = replace(found, pixels=np.ascontiguousarray(found.pixels[:, :3]))
    np.testing.assert_array_equal(points_on_object(replace(whole, kept=masks.ravel()), 1.0), points[looked_at])
    np.testing.assert_array_equal(points_on_object(replace(whole, kept=np.ones(masks.size, bool)), 1.0), points)


@pytest.mark.parametrize(("points", "number"), [(np.full((4, 3), 0.9, np.float32), 4), (None, 0)])
def test_a_scene_without_points_on_the_object_is_told(points, number, caplog: pytest.LogCaptureFixture):
    found = scene(points)
    if points is None:  # nor have the photographs any
        found = replace(found, pixels=np.full_like(found.pixels, 200))
    assert object_points(found, 1.0) is None
    assert f"none of the {number} sparse points is on the object" in caplog.text
