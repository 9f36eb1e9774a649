"""Principal points off the middle: found with focal length and poses where photographs tell, else left alone."""

import numpy as np
import pycolmap
import pytest
from scipy.spatial.transform import Rotation

from datasets.capture.poses.robust_adjustment import find_principal_points
from datasets.capture.poses.stage import _told_centres
from datasets.geometry.agreement import agreement
from datasets.poses import look_at

SIZE, OFFSET = (800, 600), np.array([6.0, -5.0])


def walk_around(num: int, by_hand: bool) -> np.ndarray:
    """(N, 3, 4) cameras around the origin; by hand at many heights, rolled and aimed by chance, else at one height."""
    random = np.random.default_rng(0)
    turn = 2.0 * np.pi * np.arange(num) / num
    lift = random.uniform(0.5, 2.5, num) if by_hand else np.full(num, 1.2)
    centres = np.stack([3.0 * np.cos(turn), 3.0 * np.sin(turn), lift], axis=1)
    cameras = np.stack([look_at(c, np.zeros(3), np.array([0.0, 0.0, 1.0])) for c in centres])
    if by_hand:
        shake = Rotation.from_euler("xyz", random.normal(0.0, [3.0, 3.0, 8.0], (num, 3)), degrees=True)
        cameras[:, :, :3] = cameras[:, :, :3] @ shake.as_matrix()
    return cameras


def reconstruction(c2w: np.ndarray, focal: float, reach: float, outliers: float = 0.02) -> pycolmap.Reconstruction:
    """What these cameras see of points within `reach`, their principal point off by OFFSET, which the model does not
    know; its focal length is off too."""
    random = np.random.default_rng(1)
    points = random.uniform(-reach, reach, (300, 3))
    model = pycolmap.Reconstruction()
    start = [1.01 * focal, SIZE[0] / 2, SIZE[1] / 2, 0.0]
    camera = pycolmap.Camera(camera_id=1, model="SIMPLE_RADIAL", width=SIZE[0], height=SIZE[1], params=start)
    model.add_camera_with_trivial_rig(camera)
    truth = pycolmap.Camera(model="SIMPLE_RADIAL", width=SIZE[0], height=SIZE[1], params=[focal, *start[1:3], -0.04])
    tracks = [pycolmap.Track() for _ in points]
    for view, pose in enumerate(c2w, start=1):
        local = (points - pose[:, 3]) @ pose[:, :3]
        pixels = truth.img_from_cam(local) + OFFSET + random.normal(0.0, 0.3, (len(points), 2))
        pixels[random.uniform(size=len(points)) < outliers] += 9.0
        seen = np.flatnonzero((pixels > 0.0).all(axis=1) & (pixels < SIZE).all(axis=1) & (random.random(300) < 0.4))
        image = pycolmap.Image(name=f"{view:03d}.jpg", keypoints=pixels[seen], camera_id=1, image_id=view)
        inverse = pose[:, :3].T
        world = pycolmap.Rigid3d(pycolmap.Rotation3d(inverse), -inverse @ pose[:, 3])
        model.add_image_with_trivial_frame(image, world)
        for number, point in enumerate(seen.tolist()):
            tracks[point].add_element(view, number)
    for xyz, track in zip(points, tracks, strict=True):
        if track.length() >= 2:
            model.add_point3D(xyz + random.normal(0.0, 0.01, 3), track)
    return model


def poses_of(model: pycolmap.Reconstruction) -> np.ndarray:
    return np.stack([model.images[i].cam_from_world().inverse().matrix() for i in sorted(model.reg_image_ids())])


def test_hand_held_photographs_tell_the_lens():
    cameras = walk_around(30, by_hand=True)
    model = reconstruction(cameras, focal=700.0, reach=1.0)
    centres = find_principal_points(model)
    assert centres.found
    params = model.cameras[1].params
    np.testing.assert_allclose(centres.offsets[0], OFFSET, atol=0.7)
    np.testing.assert_allclose(params[1:3] - 0.5 * np.array(SIZE), centres.offsets[0])
    assert params[0] == pytest.approx(700.0, rel=2e-3)
    assert (centres.deviations <= 0.0025 * SIZE[0]).all()
    assert (np.abs(centres.offsets[0] - OFFSET) < 4.0 * centres.deviations[0]).all()  # the deviation is honest
    errors = agreement(poses_of(model), cameras)
    assert np.median(errors.centre_errors) < 0.002
    assert _told_centres(centres).startswith("lens: the principal point is +")


def test_a_turn_at_one_height_does_not_tell_and_the_model_stays():
    model = reconstruction(walk_around(30, by_hand=False), focal=2400.0, reach=0.2)
    before = poses_of(model), np.array(model.cameras[1].params)
    centres = find_principal_points(model)
    assert not centres.found
    assert centres.deviations.max() > 0.0025 * SIZE[0]
    np.testing.assert_array_equal(poses_of(model), before[0])
    np.testing.assert_array_equal(model.cameras[1].params, before[1])
    assert "do not tell the principal point" in _told_centres(centres)


def test_one_camera_that_nothing_tells_leaves_all_as_they_are():
    """With a camera for each photograph there is too little for any of them."""
    model = reconstruction(walk_around(12, by_hand=True), focal=700.0, reach=1.0)
    lonely = pycolmap.Camera(
        camera_id=2, model="SIMPLE_RADIAL", width=800, height=600, params=[700.0, 400.0, 300.0, 0.0]
    )
    model.add_camera_with_trivial_rig(lonely)
    centres = find_principal_points(model)
    assert not centres.found
    assert np.isinf(centres.deviations[1]).all()
    np.testing.assert_array_equal(model.cameras[1].params[1:3], [400.0, 300.0])
