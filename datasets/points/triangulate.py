"""Triangulates points of a scene with known cameras, from features that COLMAP matches."""

import logging
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pycolmap

from datasets.files.quiet_colmap import quiet
from datasets.points.known_cameras import triangulate_posed, write_posed
from datasets.points.sift import LOW_PEAK_THRESHOLD, sift_options
from datasets.scene import Scene
from utils.errors import DataError

log = logging.getLogger(__name__)
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
        model = triangulate_posed(database, root, names, model, scene.c2w)
        points = [point.xyz for point in model.points3D.values() if point.track.length() >= _MIN_TRACK_LENGTH]
    log.info("%s: %d points in %.0f s", scene.name, len(points), time.perf_counter() - began)
    points = np.array(points, np.float32).reshape(-1, 3)
    return points[np.lexsort(points.T)]  # COLMAP's threads return them in any order


def _model_with_poses(database: Path, root: Path, scene: Scene, names: list[str]) -> pycolmap.Reconstruction:
    """A model of the cameras of the scene, without points, and a database of the same images and their features."""
    cameras, poses = [], []
    for size, intrinsics, c2w in zip(scene.sizes.tolist(), scene.intrinsics, scene.c2w.astype(np.float64), strict=True):
        params = intrinsics.astype(np.float64)
        cameras.append(pycolmap.Camera(model="PINHOLE", width=size[0], height=size[1], params=params))
        poses.append(pycolmap.Rigid3d(pycolmap.Rotation3d(c2w[:, :3].T), -c2w[:, :3].T @ c2w[:, 3]))
    model = write_posed(database, names, cameras, poses)  # first, since several threads extract the features
    # A low threshold, since known cameras rule out false matches.
    options = sift_options(int(scene.sizes.max()), LOW_PEAK_THRESHOLD)
    reader, mode = pycolmap.ImageReaderOptions(), pycolmap.CameraMode.PER_IMAGE
    pycolmap.extract_features(database, root, names, mode, reader, options, pycolmap.Device.cpu)
    return model
