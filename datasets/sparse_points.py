"""The sparse points of a scene that lie on the object."""

import logging
from dataclasses import replace

import numpy as np

from datasets.scene import Scene
from utils.cameras import Camera
from utils.errors import DataError

log = logging.getLogger(__name__)
OPAQUE_SHARE = 0.9  # of the views with a point in frame, at least, have it within their mask; borders may be rough


def find_points(scene: Scene, radius: float) -> np.ndarray | None:
    """(K, 3) float32, at least one point on the object, see `points_on_object`: those that came with the scene, or,
    without any, of its photographs and cameras. None, and a warning, where the photographs have none. Raises DataError
    where points came with the scene, and none of them lies on the object."""
    if scene.points is not None and len(scene.points):
        found = points_on_object(scene, radius)
        if len(found):
            return found
        raise DataError(
            f"{scene.name}: system.loss.lambda_sparse_points: of {len(scene.points)} sparse points none lies on the "
            f"object. Check model.radius ({radius:g}) and the masks, or set it to 0."
        )
    from datasets.triangulate import triangulate  # COLMAP is needed by few, and takes long to import

    found = points_on_object(replace(scene, points=triangulate(scene)), radius)
    if len(found):
        return found
    log.warning(
        "%s: no features of the object that three photographs share, so system.loss.lambda_sparse_points has no points "
        "and is left out. Views that overlap more may have some; plain surfaces have none.",
        scene.name,
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
