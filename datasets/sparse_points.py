"""The sparse points of a scene that lie on the object."""

import numpy as np

from datasets.scene import Scene
from utils.cameras import Camera
from utils.errors import DataError

OPAQUE_SHARE = 0.9  # of the views with a point in frame, at least, have it within their mask; borders may be rough


def points_on_object(scene: Scene, radius: float) -> np.ndarray:
    """(K, 3) float32, at least one: the sparse points within the cube [-radius, radius]^3 that the masks, where there
    are any, show as object from nearly all sides. Raises DataError where there are none."""
    where = f"{scene.name}: system.loss.lambda_sparse_points"
    if scene.points is None or len(scene.points) == 0:
        raise DataError(
            f"{where} needs points, the dataset brings none, and no features that several photographs show could be "
            f"found. Add views that overlap, or set it to 0."
        )
    inside = scene.points[(np.abs(scene.points) < radius).all(axis=1)]
    kept = inside[_opaque_share(scene, inside) >= OPAQUE_SHARE] if scene.has_alpha else inside
    if len(kept) == 0:
        raise DataError(
            f"{where}: of {len(scene.points)} sparse points {len(inside)} lie in the region and none on the object. "
            f"Check model.radius ({radius:g}) and the masks, or set it to 0."
        )
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
