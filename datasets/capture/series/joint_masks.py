"""The masks of several series, taken together: what they leave of the object, and masks that correct each other."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import cv2
import numpy as np

from datasets.capture.masks.carving import Hull, carve
from datasets.capture.masks.evidence import BACKGROUND, DOUBTFUL, OTHER
from datasets.capture.masks.object_masks import BANDS, MISSES, enlarge_mask, resize_image, shrink, silhouettes
from datasets.capture.masks.refine import refine_mask
from datasets.capture.sparse_model import SparseModel

_MIN_KEPT = 0.8  # intersection over union of a mask before and after: one that changes more stays as it was


@dataclass(frozen=True)
class JointHull:
    """What all masks leave of the object."""

    hull: Hull
    agreement: dict[str, float]  # by the names of the images: the intersection over union of mask and silhouette

    @property
    def mean_agreement(self) -> float:
        """In [0, 1]."""
        return float(np.mean(list(self.agreement.values())))


class JointMasks:
    """The masks of a model's images, at the size at which masks are made."""

    def __init__(self, model: SparseModel, masks: Mapping[str, np.ndarray], center: np.ndarray, radius: float) -> None:
        """masks: by the names of the model's images, (H, W) uint8; the object is within `radius` of the point (3,)."""
        self._model, self._small = model, shrink(model)
        self._sphere = center, radius
        self._originals = masks
        self.masks = [
            resize_image(masks[name], tuple(size)) > 127
            for name, size in zip(model.names, self._small.sizes.tolist(), strict=True)
        ]

    def hull(self) -> JointHull:
        """The voxels that the masks leave."""
        hull = self._carve(self._evidence(), MISSES[0])
        with ThreadPoolExecutor(min(8, cpu_count() or 1)) as pool:
            rough = silhouettes(hull, self._small, pool) if hull.solid.any() else [mask & False for mask in self.masks]
        shares = [overlap(*pair) for pair in zip(self.masks, rough, strict=True)]
        return JointHull(hull, dict(zip(self._model.names, shares, strict=True)))

    def refine(self, read: Callable[[str], np.ndarray], doubtful: Collection[str] = ()) -> dict[str, np.ndarray]:
        """Masks (H, W) uint8 by name, whose outlines follow the photographs near what the masks of all series leave.

        A series errs where the object touches its table, and the others show that place from all sides. So what lies
        just outside of a mask counts little against a voxel, and edges decide. read: the photograph (H, W, 3) uint8 of
        a name; doubtful: names of images whose masks may lack whole parts of the object, so that they count little
        everywhere, beside others that do not."""
        images = [
            resize_image(read(name), tuple(size))
            for name, size in zip(self._model.names, self._small.sizes.tolist(), strict=True)
        ]
        before = self.masks
        trusted = [name not in doubtful for name in self._model.names]
        reach = [BANDS[0] if is_trusted else np.inf for is_trusted in trusted]
        evidence = [_near_evidence(*pair) for pair in zip(self.masks, reach, strict=True)]
        hull = self._carve(evidence, MISSES[0])
        with ThreadPoolExecutor(min(8, cpu_count() or 1)) as pool:
            for share, misses in zip(BANDS, MISSES[1:], strict=True):
                rough = silhouettes(hull, self._small, pool)
                band = max(share * _typical_size(rough), 2.0 * hull.pixels(self._small) + 1.0)
                num = len(images)
                self.masks = list(pool.map(refine_mask, images, rough, rough, evidence, [band] * num))
                evidence = [_near_evidence(mask, share / 2.0) for mask in self.masks]
                hull = self._carve(self._evidence(), misses)
        self.masks = [
            new if not is_trusted or overlap(old, new) >= _MIN_KEPT else old
            for is_trusted, old, new in zip(trusted, before, self.masks, strict=True)
        ]
        return {
            name: self._originals[name] if new is old else enlarge_mask(new, size)
            for name, old, new, size in zip(
                self._model.names, before, self.masks, self._model.sizes.tolist(), strict=True
            )
        }

    def _evidence(self) -> list[np.ndarray]:
        return [np.where(mask, OTHER, BACKGROUND).astype(np.int8) for mask in self.masks]

    def _carve(self, evidence: Sequence[np.ndarray], misses: float) -> Hull:
        return carve(evidence, self._small, *self._sphere, np.eye(3), None, misses)


def overlap(mask: np.ndarray, other: np.ndarray) -> float:
    """The intersection over union of two masks (H, W) bool."""
    return float((mask & other).sum() / max((mask | other).sum(), 1))


def _near_evidence(mask: np.ndarray, share: float) -> np.ndarray:
    """(H, W) int8: OTHER within a mask (H, W) bool, DOUBTFUL near it, as a share of its size, BACKGROUND beyond."""
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    beyond = np.where(distance <= share * np.sqrt(mask.sum()), DOUBTFUL, BACKGROUND)
    return np.where(mask, OTHER, beyond).astype(np.int8)


def _typical_size(masks: Sequence[np.ndarray]) -> float:
    """The edge of a square of the area of the median mask, in pixels."""
    return float(np.sqrt(np.median([mask.sum() for mask in masks])))
