"""Triangulated points that are known already: of this process, or of the checkpoint that a training goes on from."""

import hashlib
import logging
from collections.abc import Mapping

import numpy as np

from datasets.scene import Scene
from utils.packages import require

log = logging.getLogger(__name__)
_STRIDE = 997  # every so many pixels are compared; a prime, so that they lie in all columns
_known: dict[str, np.ndarray] = {}


def triangulated(scene: Scene) -> np.ndarray:
    """(K, 3) float32 points of a scene, see `triangulate`; those of before where its photographs and cameras are the
    same. Raises DataError, or MissingPackageError without pycolmap."""
    key = _key(scene)
    if key in _known:
        log.info("%s: the %d sparse points of before, since photographs and cameras are", scene.name, len(_known[key]))
    else:
        require("pycolmap")  # slow to import, and few runs need it
        from datasets.points.triangulate import triangulate

        _known[key] = triangulate(scene)
    return _known[key]


def known_points(scene: Scene) -> dict[str, np.ndarray]:
    """The points that were triangulated for a scene, under a name that tells its photographs and cameras; or {}."""
    key = _key(scene)
    return {key: _known[key]} if key in _known else {}


def remember(points: Mapping[str, np.ndarray]) -> None:
    """Takes over what `known_points` gave, in this process or another."""
    _known.update(points)


def _key(scene: Scene) -> str:
    digest = hashlib.sha256("\0".join(scene.image_names).encode())
    for values in (scene.sizes, scene.c2w, scene.intrinsics, scene.pixels[::_STRIDE, :3]):
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
