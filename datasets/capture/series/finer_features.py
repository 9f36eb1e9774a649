"""More features on the object of a series, with a low threshold: for objects with little texture of their own."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from datasets.capture.masks.mask_files import MASK_FOLDER, masks_in
from datasets.capture.poses.features import read_descriptors
from datasets.capture.series.object_features import ObjectFeatures, read_features
from datasets.points.known_cameras import triangulate_posed, write_posed
from datasets.points.sift import LOW_PEAK_THRESHOLD, sift_options


@dataclass(frozen=True)
class FinerSeries:
    """A model with more points on the object, and the object's features in it."""

    model: pycolmap.Reconstruction
    features: ObjectFeatures


def find_finer_features(root: Path, model: pycolmap.Reconstruction, label: str) -> FinerSeries:
    """A copy of a series' model with further features within the masks, and the points that they give at the known
    cameras.

    root: the folder of the series; model: its undistorted reconstruction. Keeps all features and points as they are."""
    images = {model.images[i].name: model.images[i] for i in model.reg_image_ids()}
    masks = masks_in(root / MASK_FOLDER, images)
    names = sorted(masks)
    with tempfile.TemporaryDirectory(prefix="series-") as folder:
        database = Path(folder) / "finer.db"
        cameras = [model.cameras[images[name].camera_id] for name in names]
        posed = write_posed(database, names, cameras, [images[name].cam_from_world() for name in names])
        (mask_folder := Path(folder) / "masks").mkdir()
        for name, path in masks.items():
            shutil.copyfile(path, mask_folder / f"{name}.png")  # the name that COLMAP wants
        reader = pycolmap.ImageReaderOptions()
        reader.mask_path = mask_folder
        side = max(max(camera.width, camera.height) for camera in model.cameras.values())
        pycolmap.extract_features(
            database, root / "images", names, pycolmap.CameraMode.PER_IMAGE, reader,
            sift_options(side, LOW_PEAK_THRESHOLD), pycolmap.Device.cpu,
        )  # fmt: skip
        c2w = np.stack([images[name].cam_from_world().inverse().matrix() for name in names])
        found = triangulate_posed(database, root / "images", names, posed, c2w)
        finer = dict(zip(names, read_descriptors(database, names), strict=True))
    first = dict(zip(names, read_descriptors(root / "poses" / "database.db", names), strict=True))
    descriptors = {name: np.concatenate([first[name], finer[name]]) for name in names}
    combined = _combine(model, found)
    return FinerSeries(combined, read_features(root, combined, label, descriptors=descriptors))


def _combine(model: pycolmap.Reconstruction, finer: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """A model with the features of both, those of the first model first, and the points of both."""
    combined = pycolmap.Reconstruction()
    for camera in model.cameras.values():
        combined.add_camera_with_trivial_rig(pycolmap.Camera(camera.todict()))
    more = {finer.images[i].name: finer.images[i] for i in finer.reg_image_ids()}
    shifts = {}
    for image_id in model.reg_image_ids():
        image = model.images[image_id]
        points = [*image.points2D, *(more[image.name].points2D if image.name in more else [])]
        pixels = np.array([point.xy for point in points], np.float64).reshape(-1, 2)
        copy = pycolmap.Image(name=image.name, keypoints=pixels, camera_id=image.camera_id, image_id=image_id)
        combined.add_image_with_trivial_frame(copy, image.cam_from_world())
        if image.name in more:
            shifts[more[image.name].image_id] = image_id, len(image.points2D)
    for source, place in ((model, {}), (finer, shifts)):
        for point in source.points3D.values():
            track = pycolmap.Track()
            for element in point.track.elements:
                image_id, shift = place.get(element.image_id, (element.image_id, 0))
                track.add_element(image_id, element.point2D_idx + shift)
            combined.add_point3D(point.xyz, track, point.color)
    return combined
