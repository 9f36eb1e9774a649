"""A reconstruction from the motion of a turntable: triangulated points, and bundle adjustment with free poses."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from datasets.capture.poses.turntable.motion import Motion, with_focal
from datasets.capture.poses.turntable.rings import PairMatches, Ring
from datasets.files.quiet_colmap import seeded_options

_ERRORS = (8.0, 4.0, 2.0)  # pixels of reprojection that points may have before each bundle adjustment
_MIN_ANGLE = 1.5  # degrees between two rays of a point
_ITERATIONS = 40


def adjusted_reconstruction(
    database: Path, rings: Sequence[Ring], motion: Motion, pairs: Sequence[PairMatches]
) -> pycolmap.Reconstruction:
    """A reconstruction of the photos of `rings` with the poses of `motion` as a start, from matches that agree with it.

    Poses, focal length and distortion are free in the bundle adjustment; principal points stay."""
    with tempfile.TemporaryDirectory(prefix="turntable-") as folder:
        root = Path(folder)
        copy = root / "matches.db"
        shutil.copyfile(database, copy)
        _write_matches(copy, rings, pairs)
        model = _posed(copy, rings, motion)
        (root / "model").mkdir()
        options = seeded_options()
        options.triangulation.create_max_angle_error = options.triangulation.continue_max_angle_error = 3.0
        model = pycolmap.triangulate_points(model, copy, root, root / "model", options=options)
    for number, error in enumerate(_ERRORS):
        manager = pycolmap.ObservationManager(model)
        manager.filter_all_points3D(error, _MIN_ANGLE)
        manager.filter_observations_with_negative_depth()
        adjustment = pycolmap.BundleAdjustmentOptions()
        adjustment.print_summary = False
        adjustment.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
        adjustment.ceres.solver_options.max_num_iterations = _ITERATIONS
        adjustment.ceres.solver_options.function_tolerance = 1e-6
        adjustment.refine_extra_params = number > 0  # first what even steps did not allow: other poses
        pycolmap.bundle_adjustment(model, adjustment)
    pycolmap.ObservationManager(model).filter_all_points3D(_ERRORS[-1], _MIN_ANGLE)
    model.update_point_3d_errors()
    return model


def _write_matches(database: Path, rings: Sequence[Ring], pairs: Sequence[PairMatches]) -> None:
    with pycolmap.Database.open(database) as opened:
        opened.clear_matches()
        opened.clear_two_view_geometries()
        for pair in pairs:
            first, second = rings[pair.a].image_ids[pair.i], rings[pair.b].image_ids[pair.j]
            geometry = pycolmap.TwoViewGeometry()
            geometry.config = pycolmap.TwoViewGeometryConfiguration.CALIBRATED
            geometry.inlier_matches = pair.features.astype(np.uint32)
            opened.write_matches(first, second, geometry.inlier_matches)
            opened.write_two_view_geometry(first, second, geometry)


def _posed(database: Path, rings: Sequence[Ring], motion: Motion) -> pycolmap.Reconstruction:
    """A reconstruction without points, of the same rigs, frames and images as the database has."""
    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as opened:
        images = {image.image_id: image for image in opened.read_all_images()}
        numbers = {image_id: (r, i) for r, ring in enumerate(rings) for i, image_id in enumerate(ring.image_ids)}
        used = {images[image_id].camera_id for image_id in numbers}
        for camera in opened.read_all_cameras():
            if camera.camera_id in used:
                model.add_camera(with_focal(camera, motion.focal))
        for rig in opened.read_all_rigs():
            if rig.ref_sensor_id.id in used:
                model.add_rig(rig)
        frames = {frame.frame_id: frame for frame in opened.read_all_frames()}
    where = np.array(list(numbers.values()))
    rotations, offsets = motion.poses(rings, where[:, 0], where[:, 1])
    for image_id, rotation, offset in zip(numbers, rotations, offsets, strict=True):
        frame = frames[images[image_id].frame_id]
        frame.rig_from_world = pycolmap.Rigid3d(pycolmap.Rotation3d(rotation), offset)
        model.add_frame(frame)
        model.add_image(images[image_id])
        model.register_frame(frame.frame_id)
    return model
