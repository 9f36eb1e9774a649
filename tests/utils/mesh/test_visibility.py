"""What is seen agrees with a slow test of each line of sight; images and masks cut where they say."""

import numpy as np
import pytest
from shapes import ball, camera, grid

from utils.mesh import Mesh
from utils.mesh.visibility import Viewpoint, in_views, seen


def slowly_seen(points, mesh, view, tolerance):
    """For each point: in the image, and no triangle (Möller and Trumbore 1997) well before it."""
    corner = mesh.vertices[mesh.faces]
    first, second = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    found = view.pixels_of(points)[1]
    for k in np.flatnonzero(found):
        direction = points[k] - view.c2w[:, 3]
        length = np.linalg.norm(direction)
        direction = direction / length
        h, s = np.cross(direction, second), view.c2w[:, 3] - corner[:, 0]
        with np.errstate(all="ignore"):
            a = (first * h).sum(axis=1)
            u, q = (s * h).sum(axis=1) / a, np.cross(s, first)
            v, t = (q @ direction) / a, (second * q).sum(axis=1) / a
            hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0) & (t < length - tolerance)
        found[k] = not hit.any()
    return found


@pytest.mark.parametrize("seed", range(4))
def test_seen_equals_the_slow_reference(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-1, 1, (20, 1, 3)) + rng.uniform(-0.5, 0.5, (20, 3, 3))
    mesh = Mesh(corners.reshape(-1, 3), np.arange(60).reshape(20, 3))
    view = camera(rng.uniform(-1, 1, 3), rng.uniform(-1, 1, 3))  # among the triangles
    depth = view.to_camera(mesh.vertices)[:, 2].reshape(20, 3)
    assert ((depth.min(axis=1) < 0) & (depth.max(axis=1) > 0)).any()
    points = rng.uniform(-1.5, 1.5, (3000, 3))
    expected = slowly_seen(points, mesh, view, 0.01)
    np.testing.assert_array_equal(seen(points, mesh, [view], 0.01), expected)
    assert 20 < expected.sum() < view.pixels_of(points)[1].sum()


def test_of_a_ball_the_near_cap_is_seen():
    mesh, distance = ball(1.0, 4), 3.0
    points = mesh.vertices[mesh.faces].mean(axis=1)
    found = seen(points, mesh, [camera((distance, 0, 0))], 5e-3)
    toward = points[:, 0] / np.linalg.norm(points, axis=1)
    horizon = 1.0 / distance
    assert found[toward > horizon + 0.05].all()
    assert not found[toward < horizon - 0.1].any()
    both = seen(points, mesh, [camera((distance, 0, 0)), camera((-distance, 0, 0))], 5e-3)
    assert both[np.abs(toward) > horizon + 0.05].all()


def test_few_points_in_a_line_are_seen():
    points = np.array([[0.0, 0.0, z] for z in (-0.5, 0.0, 0.5)])
    wall = Mesh(np.array([[1, -9, 0.2], [1, 9, 0.2], [1, 0, 9.0]]), np.array([[0, 1, 2]]))
    np.testing.assert_array_equal(seen(points, wall, [camera((3, 0, 0))], 1e-3), [True, True, False])
    assert seen(points[:1], wall, [camera((3, 0, 0))], 1e-3).all()
    assert not seen(points, wall, [], 1e-3).any()


def test_an_endless_floor_under_the_camera_hides_what_lies_below():
    floor = grid(2)
    floor = Mesh((floor.vertices - [1, 1, 0]) * 1e4, floor.faces)
    points = np.array([[0, 0, z] for z in (-0.1, -1e-4, 0.1)])
    np.testing.assert_array_equal(seen(points, floor, [camera((3, 0, 1))], 1e-2), [False, True, True])


def test_pixels_start_at_the_corner_of_the_image():
    view = Viewpoint(np.eye(4)[:3], np.array([10.0, 10.0, 5.0, 4.0]), (10, 8))
    points = np.array([[-0.5, -0.4, 1.0], [-0.51, 0, 1], [0.499, 0.399, 1], [0.5, 0, 1], [0, 0, -1], [0, 0, 0]])
    pixels, inside = view.pixels_of(points)
    np.testing.assert_array_equal(inside, [True, False, True, False, False, False])
    np.testing.assert_allclose(pixels[0], [0, 0], atol=1e-12)


def test_masks_cut_by_one_or_by_all_views():
    left, top = np.zeros((80, 100), bool), np.zeros((80, 100), bool)
    left[:, :50], top[:40] = True, True
    views = [camera((5, 0, 0), mask=left), camera((-5, 0, 0), mask=top), camera((0, 0.1, 9), (0, 0, 30), mask=~top)]
    points = np.array([[0, -0.5, 0.5], [0, -0.5, -0.5], [0, 0.5, 0.5], [0, 0.5, -0.5], [0, 40, 0]])
    for masks, expected in (("none", [1, 1, 1, 1, 0]), ("any", [1, 1, 1, 0, 0]), ("all", [1, 0, 0, 0, 0])):
        np.testing.assert_array_equal(in_views(points, views, masks), np.array(expected, bool), masks)
    assert in_views(points, [camera((5, 0, 0))], "all")[:4].all()  # a photograph without a mask
