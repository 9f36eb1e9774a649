"""The sparse points of a scene that are on the object."""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from datasets.points.known_points import triangulated
from datasets.scene import Scene
from utils.cameras import Camera

log = logging.getLogger(__name__)
MIN_OPAQUE_SHARE = 0.9  # of the views with a point in frame, the share that has it within the mask; masks may be rough
MIN_KEPT_SHARE = 0.5  # likewise, the share that masks say to look at: what passes before a point hides it in some views


def object_points(scene: Scene, radius: float) -> np.ndarray | None:
    """(K, 3) float32 points on the object, see `points_on_object`: of the scene's sparse points, or of triangulated
    ones where it has none. Logs a warning and returns None where no point is on the object."""
    if scene.points is None or len(scene.points) == 0:
        scene = replace(scene, points=triangulated(scene))
    points = points_on_object(scene, radius)
    if len(points):
        return points
    log.warning(
        "%s: none of the %d sparse points is on the object, so system.loss.lambda_sparse_points has no effect. Check "
        "model.radius (%g) and the masks. Objects without texture have no points; more overlap of views may help.",
        *(scene.name, len(scene.points), radius),
    )
    return None


def points_on_object(scene: Scene, radius: float) -> np.ndarray:
    """(K, 3) float32: the sparse points within the cube [-radius, radius]^3 that the masks, if any, cover in nearly all
    views, and that most views look at where masks say where not to."""
    points = scene.points[(np.abs(scene.points) < radius).all(axis=1)]
    if scene.has_alpha:
        opaque = _covered_share(scene, points, lambda index: scene.image(index)[..., 3] > 127)
        points = points[opaque >= MIN_OPAQUE_SHARE]
    if scene.kept is not None:
        points = points[_covered_share(scene, points, scene.kept_of) >= MIN_KEPT_SHARE]
    return points.astype(np.float32)


def _covered_share(scene: Scene, points: np.ndarray, mask_of: Callable[[int], np.ndarray]) -> np.ndarray:
    """(P,) in [0, 1] of the views that have each point in frame, the share whose mask (H, W) bool covers it; 0 without
    such views."""
    num_in_frame, num_covered = np.zeros(len(points)), np.zeros(len(points))
    for index, (width, height) in enumerate(scene.sizes.tolist()):
        camera = Camera(scene.c2w[index], scene.intrinsics[index], (width, height))
        pixels = camera.project(points)
        in_frame = np.flatnonzero(camera.in_frame(pixels))
        column, row = pixels[in_frame, :2].astype(np.int64).T
        num_in_frame[in_frame] += 1
        num_covered[in_frame] += mask_of(index)[row, column]
    return num_covered / np.maximum(num_in_frame, 1)
