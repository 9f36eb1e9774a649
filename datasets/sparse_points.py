"""The sparse points of a scene that lie on the object."""

import logging
from dataclasses import replace

import numpy as np

from datasets.scene import Scene
from utils.cameras import Camera

log = logging.getLogger(__name__)
OPAQUE_SHARE = 0.9  # of the views with a point in frame, at least, have it within their mask; borders may be rough


def find_points(scene: Scene, radius: float) -> np.ndarray | None:
    """(K, 3) float32, at least one point on the object, see `points_on_object`: those that came with the scene, or,
    without any, of its photographs and cameras. None, and a warning, where none lies there."""
    if scene.points is None or len(scene.points) == 0:
        from datasets.triangulate import triangulate  # COLMAP is needed by few, and takes long to import

        scene = replace(scene, points=triangulate(scene))
    found = points_on_object(scene, radius)
    if len(found):
        return found
    log.warning(
        "%s: of %d sparse points none lies on the object, so system.loss.lambda_sparse_points is left out. Check "
        "model.radius (%g) and the masks; a plain object has no points, views that overlap more may have some.",
        *(scene.name, len(scene.points), radius),
    )
    return None


def points_on_object(scene: Scene, radius: float) -> np.ndarray:
    """(K, 3) float32: the sparse points within the cube [-radius, radius]^3 that the masks, where there are any, show
    as object from nearly all sides."""
    inside = scene.points[(np.abs(scene.points) < radius).all(axis=1)]
    kept = inside[_opaque_share(scene, inside) >= OPAQUE_SHARE] if scene.has_alpha else inside
    return kept.astype(np.float32)


def _opaque_share(scene: Scene, points: np.ndarray) -> np.ndarray:
    """(P,) in [0, 1] of the views that have each point in frame, the share whose mask covers it; 0 without any."""
    framed, covered = np.zeros(len(points)), np.zeros(len(points))
    for index, (width, height) in enumerate(scene.sizes.tolist()):
        camera = Camera(scene.c2w[index], scene.intrinsics[index], (width, height))
        pixels = camera.project(points)
        seen = np.flatnonzero(camera.in_frame(pixels))
        column, row = pixels[seen, :2].astype(np.int64).T
        framed[seen] += 1
        covered[seen] += scene.image(index)[row, column, 3] > 127
    return covered / np.maximum(framed, 1)
