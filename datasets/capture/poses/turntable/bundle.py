"""A reconstruction from the motion of a turntable: triangulated points, and bundle adjustment with free poses."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from datasets.capture.poses.robust_adjustment import adjust_robustly
from datasets.capture.poses.turntable.adjustment import MotionAdjustment, adjust, observations
from datasets.capture.poses.turntable.motion import Motion, pixel_size, with_focal
from datasets.capture.poses.turntable.rings import PairMatches, Ring
from datasets.files.quiet_colmap import seeded_options

_ERRORS = (8.0, 4.0, 2.0)  # pixels of reprojection that points may have before each bundle adjustment
_MIN_ANGLE = 1.5  # degrees between two rays of a point
_ITERATIONS = 40


def adjusted_reconstructions(
    database: Path, rings: Sequence[Ring], motion: Motion, pairs: Sequence[PairMatches]
) -> tuple[pycolmap.Reconstruction, pycolmap.Reconstruction]:
    """Reconstructions of the photos of `rings`, from `motion` as a start and matches that agree with it: one whose
    cameras keep to the axis, at steps that need not be even, and one of the same observations with free poses.

    Focal length and distortion are free in both; principal points stay."""
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
    shifts = None
    size = pixel_size(next(iter(model.cameras.values())))
    for error in _ERRORS:
        _filter(model, max(error * size, _ERRORS[-1]))
        motion, shifts = adjust_to_motion(model, rings, motion, shifts)
    _filter(model, _ERRORS[-1])
    return model, _with_free_poses(model)


def _filter(model: pycolmap.Reconstruction, error: float) -> None:
    manager = pycolmap.ObservationManager(model)
    manager.filter_all_points3D(error, _MIN_ANGLE)
    manager.filter_observations_with_negative_depth()


def adjust_to_motion(
    model: pycolmap.Reconstruction, rings: Sequence[Ring], motion: Motion, shifts: np.ndarray | None
) -> tuple[Motion, np.ndarray]:
    """Moves cameras and points to where they fit best on the motion; the motion, and by how much photos are off even
    steps. The lens is that of the points that most photos see."""
    seen = observations(model, rings)
    places = np.stack([model.points3D[i].xyz for i in seen.point_ids.tolist()])
    long, chosen = seen.of_long_tracks()
    first = MotionAdjustment(rings, motion, next(iter(model.cameras.values())), long, shifts)
    vector, places[chosen] = adjust(first, places[chosen])
    problem = MotionAdjustment(rings, first.moved(vector), first.lens(vector), seen, first.shifts(vector))
    problem.hold_lens()
    vector, points = adjust(problem, places)
    for point_id, xyz in zip(seen.point_ids.tolist(), points, strict=True):
        model.points3D[point_id].xyz = xyz
    for camera_id in model.cameras:
        model.cameras[camera_id].params = problem.lens(vector).params
    ids = [image_id for ring in rings for image_id in ring.image_ids]
    for image_id, rotation, offset in zip(ids, *problem.poses(vector), strict=True):
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(rotation), offset)
        model.frames[model.images[image_id].frame_id].rig_from_world = pose
    model.update_point_3d_errors()
    return problem.moved(vector), problem.shifts(vector)


def _with_free_poses(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """A copy in which the poses are free of the motion."""
    free = pycolmap.Reconstruction(model)
    adjust_robustly(free, _ITERATIONS, refine_focal=True)
    free.update_point_3d_errors()
    return free


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
