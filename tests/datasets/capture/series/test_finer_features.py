"""Features with a low threshold give a series more points on its object, and leave what it has as it is."""

import numpy as np
import pycolmap
from textured_scene import FOCAL, HEIGHT, WIDTH, orbit_of_cameras, render_all

from datasets.capture.series.finer_features import find_finer_features
from datasets.capture.series.object_features import read_features
from datasets.files.quiet_colmap import quiet
from utils.images import write_jpeg, write_png

NUM, OLD = 8, 5  # images; features that each has already


def write_series(root) -> pycolmap.Reconstruction:
    """A prepared series of a box with little contrast, whose features and points are of something else."""
    random = np.random.default_rng(0)
    cameras = orbit_of_cameras(NUM, degrees=60.0)
    model = pycolmap.Reconstruction()
    params = [FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2]
    camera = pycolmap.Camera(model="PINHOLE", width=WIDTH, height=HEIGHT, params=params, camera_id=1)
    model.add_camera_with_trivial_rig(camera)
    (root / "poses").mkdir()
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[40:140, 70:170] = 255
    with pycolmap.Database.open(root / "poses" / "database.db") as database:
        database.write_camera(camera, use_camera_id=True)
        for view, image in enumerate(render_all(cameras), start=1):
            name, c2w = f"{view}.jpg", cameras[view - 1]
            write_jpeg(root / "images" / name, (128.0 + 0.1 * (image - 128.0)).astype(np.uint8))
            write_png(root / "masks" / f"{view}.png", mask)
            pixels = random.uniform(0.0, 30.0, (OLD, 2))
            pose = pycolmap.Rigid3d(pycolmap.Rotation3d(c2w[:, :3].T), -c2w[:, :3].T @ c2w[:, 3])
            image = pycolmap.Image(name=name, keypoints=pixels, camera_id=1, image_id=view)
            model.add_image_with_trivial_frame(image, pose)
            database.write_image(pycolmap.Image(name=name, camera_id=1))
            database.write_keypoints(view, pixels.astype(np.float32))
            looks = pycolmap.FeatureDescriptors(
                pycolmap.FeatureExtractorType.SIFT, random.integers(0, 99, (OLD, 128)).astype(np.uint8)
            )
            database.write_descriptors(view, looks)
    track = pycolmap.Track()
    for view in range(1, NUM + 1):
        track.add_element(view, 2)
    model.add_point3D(np.array([9.0, 9.0, 9.0]), track)
    return model


def test_finer_features_are_added(tmp_path):
    model = write_series(tmp_path)
    assert len(read_features(tmp_path, model, "a").points) == 0
    with quiet():
        finer = find_finer_features(tmp_path, model, "a")
    features = finer.features
    assert len(features.points) > 50
    assert features.number.min() >= OLD
    observed = features.point_of >= 0
    pixels, depth = features.project(features.points[features.point_of[observed]], features.image_of[observed])
    assert (depth > 0.0).all()
    assert np.median(np.linalg.norm(pixels - features.pixels[observed], axis=1)) < 1.0
    kept = [point for point in finer.model.points3D.values() if np.allclose(point.xyz, 9.0)]
    assert [sorted((e.image_id, e.point2D_idx) for e in point.track.elements) for point in kept] == [
        [(view, 2) for view in range(1, NUM + 1)]
    ]
    assert model.num_points3D() == 1
