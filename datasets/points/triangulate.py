"""Triangulates points of a scene with known cameras, from features that COLMAP matches."""

import logging
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pycolmap

from datasets.files.quiet_colmap import quiet, seeded_options
from datasets.geometry.neighbours import nearest_views
from datasets.points.sift import LOW_PEAK_THRESHOLD, match_pairs, sift_options
from datasets.scene import Scene
from utils.errors import DataError

log = logging.getLogger(__name__)
_NEIGHBOURS = 8  # views that each view is matched with, those with the most similar direction
_MIN_TRACK_LENGTH = 3  # a match of two views may be wrong along the epipolar line


def triangulate(scene: Scene) -> np.ndarray:
    """(K, 3) float32 points in the scene frame that at least three photographs observe; K may be 0.

    Matches SIFT features (Lowe 2004) of photographs with similar directions and triangulates with the known cameras, so
    that it estimates nothing but points. Raises DataError where it cannot write the photographs to disk."""
    began = time.perf_counter()
    log.info("%s: no sparse points, so triangulating some from %d photographs", scene.name, len(scene))
    with tempfile.TemporaryDirectory(prefix="points-") as folder, quiet():
        root = Path(folder)
        names = [f"{index:06d}.png" for index in range(len(scene))]
        for index, name in enumerate(names):
            if not cv2.imwrite(str(root / name), scene.image(index)[:, :, 2::-1]):
                raise DataError(
                    f"{root}: cannot write a photograph there. Free some space, or set TMPDIR to another folder."
                )
        database = root / "points.db"
        model = _model_with_poses(database, root, scene, names)
        near = nearest_views(scene.c2w, _NEIGHBOURS)
        pairs = sorted({(min(i, j), max(i, j)) for i, others in enumerate(near.tolist()) for j in others})
        match_pairs(database, pairs, names)
        (root / "model").mkdir()
        model = pycolmap.triangulate_points(model, database, root, root / "model", options=seeded_options())
        points = [point.xyz for point in model.points3D.values() if point.track.length() >= _MIN_TRACK_LENGTH]
    log.info("%s: %d points in %.0f s", scene.name, len(points), time.perf_counter() - began)
    points = np.array(points, np.float32).reshape(-1, 3)
    return points[np.lexsort(points.T)]  # COLMAP's threads return them in any order


def _model_with_poses(database: Path, root: Path, scene: Scene, names: list[str]) -> pycolmap.Reconstruction:
    """A model of the cameras of the scene, without points, and a database of the same images and their features."""
    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as opened:
        for number, name in enumerate(names, start=1):  # first, since several threads extract the features
            (width, height), c2w = scene.sizes[number - 1].tolist(), scene.c2w[number - 1].astype(np.float64)
            params = scene.intrinsics[number - 1].astype(np.float64)
            camera = pycolmap.Camera(model="PINHOLE", width=width, height=height, params=params, camera_id=number)
            camera.has_prior_focal_length = True
            model.add_camera_with_trivial_rig(camera)
            pose = pycolmap.Rigid3d(pycolmap.Rotation3d(c2w[:, :3].T), -c2w[:, :3].T @ c2w[:, 3])
            model.add_image_with_trivial_frame(pycolmap.Image(name=name, camera_id=number, image_id=number), pose)
            opened.write_camera(camera, use_camera_id=True)
            opened.write_rig(model.rigs[number], use_rig_id=True)
            opened.write_frame(model.frames[number], use_frame_id=True)
            opened.write_image(model.images[number], use_image_id=True)
    # A low threshold, since known cameras rule out false matches.
    options = sift_options(int(scene.sizes.max()), LOW_PEAK_THRESHOLD)
    reader, mode = pycolmap.ImageReaderOptions(), pycolmap.CameraMode.PER_IMAGE
    pycolmap.extract_features(database, root, names, mode, reader, options, pycolmap.Device.cpu)
    return model
