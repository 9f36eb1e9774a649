"""Finds the region of interest: what most cameras look at, without what it stands on and without outliers."""

import logging

import numpy as np

from datasets.capture.cloud import Cloud
from datasets.capture.region.clusters import clusters, trimmed_ball
from datasets.geometry.axes import focus_point, mean_up
from datasets.geometry.planes import Plane, find_plane
from datasets.region import Region
from utils.errors import DataError

log = logging.getLogger(__name__)
MARGIN = 1.1  # around the points of the object: the surface bulges between them
_VIEWS = 3  # of a point to be trusted
_ATTENTION = 0.4  # share of the cameras that have a point of the object in their image
# lengths, as shares of the distance of the cameras
_NEAR = 0.8  # points of the object from what the cameras look at
_THICKNESS = 0.008  # of a plane, to either side
_CELL = 0.04  # gaps in an object
# shares of the near points
_GROUND_SHARE = 0.08  # in a plane that counts as the ground
_OBJECT_SHARE = 0.02  # above it: with less, the plane is the object
_PLATE = 1.2  # a plane that ends within so many radii of the object is a part of it


def estimate_region(cloud: Cloud) -> Region:
    """The sphere around the object that the cameras of a sparse reconstruction look at.

    Raises DataError where there are too few points or cameras to tell."""
    focus = robust_focus(cloud.c2w)
    distance = float(np.median(np.linalg.norm(cloud.c2w[:, :, 3] - focus, axis=1)))
    near = _near_points(cloud, focus, distance)
    thickness = _THICKNESS * distance
    ground = support_plane(near, cloud.c2w[:, :, 3], thickness)
    up = upright(cloud.c2w, ground)
    method = "auto: what most cameras look at"
    if ground is None:
        found = main_part(near, focus, distance)
        return _region(*trimmed_ball(found), cloud, up, None, method)
    above = near[ground.height(near) > 2.0 * thickness]
    if len(above) < max(10, _OBJECT_SHARE * len(near)):
        return _region(*trimmed_ball(main_part(near, focus, distance)), cloud, up, None, f"{method}, a flat thing")
    found = main_part(above, focus, distance)
    ball = trimmed_ball(with_contact(found, ground))
    flat = near[np.abs(ground.height(near)) <= 2.0 * thickness]
    plate = trimmed_ball(np.concatenate([found, flat]))
    if plate[1] < _PLATE * ball[1]:
        return _region(*plate, cloud, up, None, f"{method}, with the plate that it stands on")
    return _region(*ball, cloud, up, ground, f"{method}, above the plane with most points")


def _near_points(cloud: Cloud, focus: np.ndarray, distance: float) -> np.ndarray:
    """(k, 3) points that are seen well and lie where the object may be. Raises DataError where they are too few."""
    trusted = cloud.views >= _VIEWS
    trusted = trusted if trusted.sum() >= max(50, 0.3 * len(trusted)) else cloud.views > 0
    near = cloud.points[trusted]
    near = near[np.linalg.norm(near - focus, axis=1) < _NEAR * distance]
    near = near[cloud.attention(near) >= _ATTENTION]
    if len(near) < 10:
        raise DataError(
            f"sparse model: expected at least 10 points where the {len(cloud.c2w)} cameras look, got {len(near)} of "
            f"{len(cloud.points)}. Name the sphere around the object with --roi x,y,z,radius, or film it again so that "
            f"it stays in the middle of the picture."
        )
    return near


def _region(
    center: np.ndarray, radius: float, cloud: Cloud, up: np.ndarray, ground: Plane | None, method: str
) -> Region:
    """With the margin, as far as no camera comes to lie within."""
    nearest = float(np.linalg.norm(cloud.c2w[:, :, 3] - center, axis=1).min())
    return Region(center, min(MARGIN * radius, 0.95 * nearest), up, ground, method)


def robust_focus(c2w: np.ndarray) -> np.ndarray:
    """(3,) the point that most of the cameras (N, 3, 4) look at; a few that look elsewhere do not move it."""
    focus = focus_point(c2w)
    for _ in range(5):
        to_focus = focus - c2w[:, :, 3]
        along = np.einsum("ni,ni->n", to_focus, c2w[:, :, 2])
        across = np.sqrt(np.maximum((to_focus**2).sum(axis=1) - along**2, 0.0))
        kept = c2w[(across <= 2.5 * np.median(across) + 1e-9) & (along > 0.0)]
        if 2 * len(kept) <= len(c2w):
            break
        focus = focus_point(kept)
    return focus


def support_plane(points: np.ndarray, positions: np.ndarray, thickness: float) -> Plane | None:
    """The plane that an object stands on or hangs at: the cameras and nearly all points are on one side of it.

    points: (K, 3) near the object; positions: (N, 3) of the cameras; thickness: what counts as in the plane, to
    either side. None where no plane holds enough of the points."""

    def score(heights: np.ndarray, threshold: float) -> float:
        behind = heights < -2.0 * threshold
        return float((np.abs(heights) < threshold).sum() - 3.0 * behind.sum())

    def accept(plane: Plane) -> bool:
        return bool((plane.height(positions) > 0.0).mean() >= 0.98)

    plane = find_plane(points, thickness, positions.mean(axis=0), score, accept)
    if plane is None or (np.abs(plane.height(points)) < thickness).mean() < _GROUND_SHARE:
        return None
    return plane


def upright(c2w: np.ndarray, ground: Plane | None) -> np.ndarray:
    """(3,) unit up direction: the normal of the ground, or that of the cameras (N, 3, 4) where it is rather a wall."""
    cameras = mean_up(c2w)
    if ground is None:
        return cameras
    unanimous = np.linalg.norm(c2w[:, :, 1].mean(axis=0)) > 0.3  # cameras held sideways around an object cancel
    return cameras if unanimous and ground.normal @ cameras < 0.5 else ground.normal


def main_part(points: np.ndarray, focus: np.ndarray, distance: float) -> np.ndarray:
    """(k, 3) the connected part of points (K, 3) around what the cameras look at, and parts that lie within its reach.

    focus: (3,) that point; distance: of the cameras from it."""
    label = clusters(points, _CELL * distance)
    if label.max() < 0:
        return points
    weight = np.exp(-((points - focus) ** 2).sum(axis=1) / (0.25 * distance) ** 2)
    main = points[label == np.bincount(label[label >= 0], weight[label >= 0]).argmax()]
    center, radius = trimmed_ball(main)
    inside = np.linalg.norm(points - center, axis=1) < 1.2 * radius
    joined = [part for part in range(label.max() + 1) if inside[label == part].mean() > 0.5]
    return points[np.isin(label, joined)]


def with_contact(points: np.ndarray, ground: Plane) -> np.ndarray:
    """(k, 3) points (K, 3) of an object and the feet of its lowest third on the ground, where it touches it."""
    heights = ground.height(points)
    low = heights < heights.min() + np.ptp(heights) / 3.0
    return np.concatenate([points, ground.drop(points[low])])
