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
from datasets.files.quiet_colmap import seeded_options
from datasets.geometry.neighbours import nearest_views
from datasets.points.sift import LOW_PEAK_THRESHOLD, match_pairs, sift_options

_NEIGHBOURS = 8  # views that each view is matched with, those with the most similar direction


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
        posed = _write_database(database, model, names)
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
        near = nearest_views(c2w, _NEIGHBOURS).tolist()
        match_pairs(database, sorted({(min(i, j), max(i, j)) for i, own in enumerate(near) for j in own}), names)
        (out := Path(folder) / "model").mkdir()
        found = pycolmap.triangulate_points(posed, database, root / "images", out, options=seeded_options())
        finer = dict(zip(names, read_descriptors(database, names), strict=True))
    first = dict(zip(names, read_descriptors(root / "poses" / "database.db", names), strict=True))
    descriptors = {name: np.concatenate([first[name], finer[name]]) for name in names}
    combined = _combine(model, found)
    return FinerSeries(combined, read_features(root, combined, label, descriptors=descriptors))


def _write_database(database: Path, model: pycolmap.Reconstruction, names: list[str]) -> pycolmap.Reconstruction:
    """Writes the cameras and images of a model; returns a model of them without features and points."""
    images = {model.images[i].name: model.images[i] for i in model.reg_image_ids()}
    posed = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as opened:
        for number, name in enumerate(names, start=1):
            source = model.cameras[images[name].camera_id]
            camera = pycolmap.Camera(
                model=source.model_name, width=source.width, height=source.height, params=source.params,
                camera_id=number,
            )  # fmt: skip
            camera.has_prior_focal_length = True
            posed.add_camera_with_trivial_rig(camera)
            image = pycolmap.Image(name=name, camera_id=number, image_id=number)
            posed.add_image_with_trivial_frame(image, images[name].cam_from_world())
            opened.write_camera(camera, use_camera_id=True)
            opened.write_rig(posed.rigs[number], use_rig_id=True)
            opened.write_frame(posed.frames[number], use_frame_id=True)
            opened.write_image(posed.images[number], use_image_id=True)
    return posed


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
