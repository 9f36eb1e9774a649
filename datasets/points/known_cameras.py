"""Points that features give where the cameras are known: a model with poses, matches of views that look alike."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from datasets.files.quiet_colmap import seeded_options
from datasets.geometry.neighbours import nearest_views
from datasets.points.sift import match_pairs

_NEIGHBOURS = 8  # views that each view is matched with, those with the most similar direction


def write_posed(
    database: Path, names: Sequence[str], cameras: Sequence[pycolmap.Camera], poses: Sequence[pycolmap.Rigid3d]
) -> pycolmap.Reconstruction:
    """Writes images and their cameras, one each, into a new database; returns a model of them without points.

    names: in the order of their numbers, from 1 on; poses: world to camera."""
    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as opened:
        for number, (name, own, pose) in enumerate(zip(names, cameras, poses, strict=True), start=1):
            camera = pycolmap.Camera(
                model=own.model_name, width=own.width, height=own.height, params=own.params, camera_id=number
            )
            camera.has_prior_focal_length = True
            model.add_camera_with_trivial_rig(camera)
            model.add_image_with_trivial_frame(pycolmap.Image(name=name, camera_id=number, image_id=number), pose)
            opened.write_camera(camera, use_camera_id=True)
            opened.write_rig(model.rigs[number], use_rig_id=True)
            opened.write_frame(model.frames[number], use_frame_id=True)
            opened.write_image(model.images[number], use_image_id=True)
    return model


def triangulate_posed(
    database: Path, images: Path, names: Sequence[str], posed: pycolmap.Reconstruction, c2w: np.ndarray
) -> pycolmap.Reconstruction:
    """Matches the features in a database of views with similar directions; returns the model with the points that the
    matches give at its cameras. It stays beside the database too.

    images: the folder of the photographs; c2w: (N, 3, 4) of the names, with the object around the origin."""
    near = nearest_views(c2w, _NEIGHBOURS).tolist()
    pairs = sorted({(min(i, j), max(i, j)) for i, own in enumerate(near) for j in own})
    match_pairs(database, pairs, names, one_at_a_time=True)
    (out := database.with_name("model")).mkdir()
    return pycolmap.triangulate_points(posed, database, images, out, options=seeded_options())
