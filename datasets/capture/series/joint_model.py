"""One model of all series, in the frame of the first: their cameras, their points, and the points that they share."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pycolmap

from datasets.capture.poses.robust_adjustment import adjust_robustly
from datasets.capture.series.object_features import ObjectFeatures
from datasets.geometry.agreement import fit_similarity

_ITERATIONS = 50
_MAX_ERROR = 0.005  # of the longer side: reprojection errors of observations that stay; COLMAP's 4 pixels of 800
_MIN_ANGLE = 1.5  # degrees between two rays of a point, as COLMAP has it


def put_together(
    models: Sequence[pycolmap.Reconstruction],
    features: Sequence[ObjectFeatures],
    first_from_series: Sequence[np.ndarray],
    names: Sequence[dict[str, str]],
) -> tuple[pycolmap.Reconstruction, list[ObjectFeatures]]:
    """A model with the cameras, images and points of all models, and the features with their images' ids in it.

    first_from_series: (4, 4) similarity of each series to the frame of the first; names: of each series, the names that
    its images get, by their own; other images are left out."""
    joint = pycolmap.Reconstruction()
    placed = []
    for model, series, similarity, new_names in zip(models, features, first_from_series, names, strict=True):
        model = pycolmap.Reconstruction(model)
        model.transform(_sim3d(similarity))
        image_ids = _add_images(joint, model, new_names)
        for point in model.points3D.values():
            track = pycolmap.Track()
            for element in point.track.elements:
                if element.image_id in image_ids:
                    track.add_element(image_ids[element.image_id], element.point2D_idx)
            if track.length() >= 2:
                joint.add_point3D(point.xyz, track, point.color)
        placed.append(replace(series, image_ids=np.array([image_ids[i] for i in series.image_ids.tolist()])))
    return joint, [as_joined(series, joint) for series in placed]


def _sim3d(similarity: np.ndarray) -> pycolmap.Sim3d:
    scale = float(np.cbrt(np.linalg.det(similarity[:3, :3])))
    return pycolmap.Sim3d(scale, pycolmap.Rotation3d(similarity[:3, :3] / scale), similarity[:3, 3])


def _add_images(
    joint: pycolmap.Reconstruction, model: pycolmap.Reconstruction, names: dict[str, str]
) -> dict[int, int]:
    """Adds the cameras and the named images of a model; returns the new ids of the images, by the old ones."""
    camera_ids, image_ids = {}, {}
    kept = {i: model.images[i] for i in model.reg_image_ids() if model.images[i].name in names}
    for image_id, image in sorted(kept.items(), key=lambda item: names[item[1].name]):
        if image.camera_id not in camera_ids:
            source = model.cameras[image.camera_id]
            camera_ids[image.camera_id] = joint.num_cameras() + 1
            camera = pycolmap.Camera(
                model=source.model_name, width=source.width, height=source.height, params=source.params,
                camera_id=camera_ids[image.camera_id],
            )  # fmt: skip
            joint.add_camera_with_trivial_rig(camera)
        image_ids[image_id] = joint.num_images() + 1
        keypoints = np.array([point.xy for point in image.points2D], np.float64).reshape(-1, 2)
        copy = pycolmap.Image(
            name=names[image.name], keypoints=keypoints, camera_id=camera_ids[image.camera_id],
            image_id=image_ids[image_id],
        )  # fmt: skip
        joint.add_image_with_trivial_frame(copy, image.cam_from_world())
    return image_ids


def as_joined(features: ObjectFeatures, joint: pycolmap.Reconstruction) -> ObjectFeatures:
    """The features of a series with the cameras and points that a joint model has now, in its frame."""
    images = [joint.images[i] for i in features.image_ids.tolist()]
    cameras = [joint.cameras[image.camera_id] for image in images]
    ids = np.full(len(features.image_of), -1, np.int64)
    for view, image in enumerate(images):
        observed = np.array([p.point3D_id if p.has_point3D() else -1 for p in image.points2D], np.int64)
        own = features.image_of == view
        ids[own] = observed[features.number[own]]
    point_ids, inverse = np.unique(ids, return_inverse=True)
    absent = int(len(point_ids) > 0 and point_ids[0] < 0)
    return replace(
        features,
        c2w=np.stack([image.cam_from_world().inverse().matrix() for image in images]),
        intrinsics=np.array(
            [(c.focal_length_x, c.focal_length_y, c.principal_point_x, c.principal_point_y) for c in cameras]
        ),
        point_of=inverse.reshape(-1) - absent,
        point_ids=point_ids[absent:],
        points=np.array([joint.points3D[i].xyz for i in point_ids[absent:].tolist()]).reshape(-1, 3),
    )


def adjust(joint: pycolmap.Reconstruction, first: ObjectFeatures, refine_focal: bool = False) -> None:
    """Bundle adjusts a joint model, in the frame of the cameras of the first series, and drops what does not fit."""
    before = first.c2w[:, :, 3]
    adjust_robustly(joint, _ITERATIONS, refine_focal)
    side = max(max(camera.width, camera.height) for camera in joint.cameras.values())
    manager = pycolmap.ObservationManager(joint)
    manager.filter_all_points3D(_MAX_ERROR * side, _MIN_ANGLE)
    manager.filter_observations_with_negative_depth()
    after = as_joined(first, joint).c2w[:, :, 3]
    joint.transform(_sim3d(fit_similarity(after, before)))
    joint.update_point_3d_errors()
