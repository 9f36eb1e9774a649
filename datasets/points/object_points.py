"""The sparse points of a scene that are on the object."""

import logging
from dataclasses import replace

import numpy as np

from datasets.points.known_points import triangulated
from datasets.scene import Scene
from utils.cameras import Camera

log = logging.getLogger(__name__)
MIN_OPAQUE_SHARE = 0.9  # of the views with a point in frame, the share that has it within the mask; masks may be rough


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
    views."""
    inside = scene.points[(np.abs(scene.points) < radius).all(axis=1)]
    visible = inside[_opaque_share(scene, inside) >= MIN_OPAQUE_SHARE] if scene.has_alpha else inside
    return visible.astype(np.float32)


def _opaque_share(scene: Scene, points: np.ndarray) -> np.ndarray:
    """(P,) in [0, 1] of the views that have each point in frame, the share whose mask covers it; 0 without such
    views."""
    num_in_frame, num_covered = np.zeros(len(points)), np.zeros(len(points))
    for index, (width, height) in enumerate(scene.sizes.tolist()):
        camera = Camera(scene.c2w[index], scene.intrinsics[index], (width, height))
        pixels = camera.project(points)
        in_frame = np.flatnonzero(camera.in_frame(pixels))
        column, row = pixels[in_frame, :2].astype(np.int64).T
        num_in_frame[in_frame] += 1
        num_covered[in_frame] += scene.image(index)[row, column, 3] > 127
    return num_covered / np.maximum(num_in_frame, 1)
