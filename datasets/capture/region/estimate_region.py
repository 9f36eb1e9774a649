"""Estimates the region of interest: what most cameras look at, without what it stands on and without outliers."""

import logging

import numpy as np

from datasets.capture.region.cluster_points import label_clusters, trimmed_ball
from datasets.capture.region.support import low_plane, support_plane
from datasets.capture.sparse_model import SparseModel
from datasets.geometry.axes import focus_point, level_up, mean_up
from datasets.geometry.planes import Plane
from datasets.region import Region
from utils.errors import DataError

log = logging.getLogger(__name__)
MARGIN = 1.1  # around the points of the object: the surface bulges between them
_MIN_TRACK_LENGTH = 3  # observations of a point that counts
_MIN_IN_FRAME_SHARE = 0.4  # of the cameras that have a point of the object in frame
# lengths, as shares of the distance of the cameras
_MAX_DISTANCE = 0.8  # of points of the object from what the cameras look at
_PLANE_THICKNESS = 0.008  # of a plane, to either side
_CELL = 0.04  # gaps in an object
# shares of the near points
_MIN_OBJECT_SHARE = 0.02  # above it: with less, the plane is the object
_PLATE_RADII = 1.2  # a plane that ends within this many radii of the object is a part of it
_REMEDY = (
    "Give the sphere around the object with --roi x,y,z,radius, or film it again so that it stays in the middle of the "
    "picture."
)


def estimate_region(model: SparseModel, on_disc: bool = False) -> Region:
    """The sphere around the object that the cameras of a sparse reconstruction look at.

    on_disc: the object stands on the disc of a turntable, which is no part of it, small as it is.

    Raises DataError where there are too few points or cameras to tell."""
    focus = robust_focus(model.c2w)
    distance = float(np.median(np.linalg.norm(model.c2w[:, :, 3] - focus, axis=1)))
    near = _near_points(model, focus, distance)
    thickness = _PLANE_THICKNESS * distance
    positions = model.c2w[:, :, 3]
    ground = support_plane(near, positions, thickness) or low_plane(near, positions, level_up(model.c2w), thickness)
    up = up_direction(model.c2w, ground)
    method = "auto: what most cameras look at"
    if ground is None:
        points = main_cluster(near, focus, distance)
        return _region(*trimmed_ball(points), model, up, None, method)
    above = near[ground.height(near) > 2.0 * thickness]
    if len(above) < max(10, _MIN_OBJECT_SHARE * len(near)):
        points = main_cluster(near, focus, distance)
        return _region(*trimmed_ball(points), model, up, None, f"{method}, a flat object")
    points = main_cluster(above, focus, distance)
    ball = trimmed_ball(add_contact(points, ground))
    in_plane = near[np.abs(ground.height(near)) <= 2.0 * thickness]
    plate = trimmed_ball(np.concatenate([points, in_plane]))
    if plate[1] < _PLATE_RADII * ball[1] and not on_disc:
        return _region(*plate, model, up, None, f"{method}, with the plate that it stands on")
    return _region(*ball, model, up, ground, f"{method}, above the plane with most points")


def _near_points(model: SparseModel, focus: np.ndarray, distance: float) -> np.ndarray:
    """(k, 3) well-observed points that lie where the object may be. Raises DataError where they are too few."""
    well_observed = model.track_lengths >= _MIN_TRACK_LENGTH
    if well_observed.sum() < max(50, 0.3 * len(well_observed)):
        well_observed = model.track_lengths > 0
    near = model.points[well_observed]
    near = near[np.linalg.norm(near - focus, axis=1) < _MAX_DISTANCE * distance]
    near = near[model.in_frame_share(near) >= _MIN_IN_FRAME_SHARE]
    if len(near) < 10:
        raise DataError(
            f"sparse model: expected at least 10 points where the {len(model.c2w)} cameras look, got {len(near)} of "
            f"{len(model.points)}. {_REMEDY}"
        )
    return near


def _region(
    center: np.ndarray, radius: float, model: SparseModel, up: np.ndarray, ground: Plane | None, method: str
) -> Region:
    """The region with the margin, but small enough that it contains no camera."""
    nearest = float(np.linalg.norm(model.c2w[:, :, 3] - center, axis=1).min())
    return Region(center, min(MARGIN * radius, 0.95 * nearest), up, ground, method)


def robust_focus(c2w: np.ndarray) -> np.ndarray:
    """(3,) the point that most of the cameras (N, 3, 4) look at; a few that look elsewhere do not move it."""
    focus = focus_point(c2w)
    for _ in range(5):
        to_focus = focus - c2w[:, :, 3]
        along = np.einsum("ni,ni->n", to_focus, c2w[:, :, 2])
        across = np.sqrt(np.maximum((to_focus**2).sum(axis=1) - along**2, 0.0))
        inliers = c2w[(across <= 2.5 * np.median(across) + 1e-9) & (along > 0.0)]
        if 2 * len(inliers) <= len(c2w):
            break
        focus = focus_point(inliers)
    return focus


def up_direction(c2w: np.ndarray, ground: Plane | None) -> np.ndarray:
    """(3,) unit up direction: the normal of the ground, or the mean up of the cameras (N, 3, 4) where the plane is a
    wall."""
    cameras_up = mean_up(c2w)
    if ground is None:
        return cameras_up
    agree = np.linalg.norm(c2w[:, :, 1].mean(axis=0)) > 0.3  # the ups of cameras held sideways around an object cancel
    return cameras_up if agree and ground.normal @ cameras_up < 0.5 else ground.normal


def main_cluster(points: np.ndarray, focus: np.ndarray, distance: float) -> np.ndarray:
    """(k, 3) the cluster of points (K, 3) around what the cameras look at, and the clusters within its ball.

    focus: (3,) that point; distance: of the cameras from it. Raises DataError where that is a single point."""
    label = label_clusters(points, _CELL * distance)
    if label.max() < 0:
        return points
    weight = np.exp(-((points - focus) ** 2).sum(axis=1) / (0.25 * distance) ** 2)
    main = points[label == np.bincount(label[label >= 0], weight[label >= 0]).argmax()]
    center, radius = trimmed_ball(main)
    if radius == 0.0:
        raise DataError(
            f"sparse model: expected a cluster of points where the cameras look, got single ones. {_REMEDY}"
        )
    inside = np.linalg.norm(points - center, axis=1) < 1.2 * radius
    included = [number for number in range(label.max() + 1) if inside[label == number].mean() > 0.5]
    return points[np.isin(label, included)]


def add_contact(points: np.ndarray, ground: Plane) -> np.ndarray:
    """(k, 3) points (K, 3) of an object, and the projections of its lowest third onto the ground, where it touches
    it."""
    heights = ground.height(points)
    low = heights < heights.min() + np.ptp(heights) / 3.0
    return np.concatenate([points, ground.project(points[low])])
