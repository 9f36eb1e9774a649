"""What cameras see is kept, what none sees is dropped."""

import numpy as np
import torch
from analytic_shapes import camera_at, cameras_around, joined, sphere_mesh

from utils.cameras import camera_rays
from utils.mesh.cropping import crop_to_frames, crop_to_visible, depth_map


def test_projected_points_lie_on_the_rays_of_their_pixels():
    camera = camera_at((2.0, -1.0, 0.7))
    points = np.random.default_rng(0).normal(size=(50, 3)) * 0.3
    pixels = camera.project(points)
    c2w, intrinsics = (torch.from_numpy(value) for value in (camera.c2w, camera.intrinsics))
    origins, directions = camera_rays(torch.from_numpy(pixels[:, :2]), c2w, intrinsics)
    away = points - origins.numpy()
    np.testing.assert_allclose(away / np.linalg.norm(away, axis=1, keepdims=True), directions.numpy(), atol=1e-6)
    np.testing.assert_allclose(pixels[:, 2], away @ camera.c2w[:, 2], atol=1e-6)


def test_what_lies_behind_a_camera_or_beside_its_picture_is_not_in_frame():
    camera = camera_at((3.0, 0.0, 0.0))
    points = np.array([[0, 0, 0], [6, 0, 0], [0, 1.2, 0], [0, 1.3, 0], [0, 0, -1.2], [0, 0, -1.3]], float)
    assert camera.in_frame(camera.project(points)).tolist() == [True, False, True, False, True, False]


def test_depths_are_those_of_a_sphere():
    camera, mesh = camera_at((3.0, 0.0, 0.0), size=63), sphere_mesh(5)
    depths = depth_map(camera, camera.project(mesh.vertices), mesh.faces)
    np.testing.assert_allclose(depths[31, 31], 2.0, atol=2e-3)
    assert np.isinf(depths[0, 0])
    assert depths[np.isfinite(depths)].max() < 3.0 - 1.0 / 3.0 + 0.05  # where rays touch the sphere


def test_only_what_is_in_a_frame_is_kept():
    near, far = sphere_mesh(3, 0.4), sphere_mesh(3, 0.4, (0.0, 5.0, 0.0))
    cameras = [camera_at(place) for place in ((4.0, 0.0, 0.0), (-3.0, 0.0, 2.0), (0.0, -0.1, 4.0))]
    kept = crop_to_frames(joined(near, far), cameras)
    np.testing.assert_array_equal(kept.vertices, near.vertices)
    np.testing.assert_array_equal(kept.faces, near.faces)
    part = crop_to_frames(near, [camera_at((3.0, 0.0, 0.0), angle=0.1)])  # both sides of the ball, but a disc of it
    assert 0 < len(part.faces) < 0.3 * len(near.faces)
    assert np.abs(part.vertices[:, 1:]).max() < 0.3
    assert part.vertices[:, 0].min() < -0.3


def test_what_is_hidden_from_all_is_dropped():
    inner, outer = sphere_mesh(4, 0.5), sphere_mesh(4, 1.0)
    kept = crop_to_visible(joined(outer, inner), cameras_around(12, 4.0))
    np.testing.assert_array_equal(kept.vertices, outer.vertices)
    np.testing.assert_array_equal(kept.faces, outer.faces)


def test_one_camera_sees_one_side():
    mesh = sphere_mesh(5)
    kept = crop_to_visible(mesh, [camera_at((4.0, 0.0, 0.0), size=200)])
    limb = 1.0 / 4.0  # x where the lines of sight touch the sphere
    assert limb - 0.2 < kept.vertices[:, 0].min() < limb + 0.01
    expected = mesh.faces[(mesh.vertices[mesh.faces, 0] > limb + 0.05).all(axis=1)]
    assert len(expected) <= len(kept.faces)


def test_no_camera_sees_nothing():
    assert len(crop_to_frames(sphere_mesh(2), []).faces) == 0
    assert len(crop_to_visible(sphere_mesh(2), [camera_at((30.0, 0.0, 0.0), angle=1e-3)]).faces) <= 6
