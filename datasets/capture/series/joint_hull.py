"""What the masks of all series leave of the object, taken together: its sphere, and how well the masks agree."""

from collections.abc import Mapping

import cv2
import numpy as np

from datasets.capture.masks.carving import Hull, carve
from datasets.capture.masks.evidence import BACKGROUND, OTHER
from datasets.capture.masks.object_masks import shrink
from datasets.capture.sparse_model import SparseModel


def joint_hull(
    model: SparseModel, masks: Mapping[str, np.ndarray], center: np.ndarray, radius: float
) -> tuple[Hull, dict[str, float]]:
    """The voxels within `radius` of a point (3,) that the masks leave, and for each image the intersection over union
    of its mask with their silhouette.

    masks: by the names of the model's images, (H, W) uint8."""
    small = shrink(model)
    covered = [
        cv2.resize(masks[name], tuple(size), interpolation=cv2.INTER_AREA) > 127
        for name, size in zip(small.names, small.sizes.tolist(), strict=True)
    ]
    evidence = [np.where(mask, OTHER, BACKGROUND).astype(np.int8) for mask in covered]
    hull = carve(evidence, small, center, radius, np.eye(3), None)
    agreement = {}
    for view, (name, mask) in enumerate(zip(small.names, covered, strict=True)):
        rough = hull.silhouette(small, view) if hull.solid.any() else np.zeros_like(mask)
        agreement[name] = float((mask & rough).sum() / max((mask | rough).sum(), 1))
    return hull, agreement
