"""What one photograph says about the object: here is background, here is something else, or nothing."""

import cv2
import numpy as np
from scipy import ndimage

from datasets.capture.masks.plane_picture import PlanePicture
from datasets.capture.sparse_model import SparseModel

BACKGROUND, DOUBTFUL, UNKNOWN, OTHER = -5, -1, 0, 1  # votes: DOUBTFUL is background by its colour alone
_TOLERANCE, _SPREAD_WEIGHT, _MAX_SPREAD = 0.1, 2.0, 0.1  # log colour: noise and vignette; glosses and misregistration
_CLOSING = 0.006  # of the longer side of the image: gaps where the object looks like the plane
_MIN_AREA, _MAX_HOLE = 0.0005, 0.002  # of the image


def plane_evidence(picture: PlanePicture, model: SparseModel, view: int, log_image: np.ndarray) -> np.ndarray:
    """(H, W) int8: BACKGROUND where a view shows the plane as the picture has it, OTHER where it shows something else,
    UNKNOWN where the picture says nothing, from the log colours (H, W, 3) of the view.

    A pixel may have the colour of any of its neighbours in the picture: edges of texture move by the errors of the
    poses, and are blurred by defocus."""
    expected, spread, known = picture.seen_from(model, view)
    kernel = np.ones((3, 3), np.uint8)
    low, high = cv2.erode(expected, kernel), cv2.dilate(expected, kernel)
    difference = np.maximum(np.maximum(low - log_image, log_image - high), 0.0).max(axis=-1)
    other = difference > _TOLERANCE + _SPREAD_WEIGHT * np.minimum(spread, _MAX_SPREAD)
    other = fill_in(other & known, known)
    evidence = np.where(other, OTHER, BACKGROUND).astype(np.int8)
    size = evidence.shape[1], evidence.shape[0]
    foot = (
        cv2.warpPerspective(
            picture.foot.astype(np.uint8), picture.homography(model, view), size, flags=cv2.INTER_NEAREST
        )
        > 0
    )
    evidence[(foot & ~other) | ~known] = UNKNOWN
    return evidence


def mask_evidence(mask: np.ndarray, plane: np.ndarray | None) -> np.ndarray:
    """(H, W) int8: BACKGROUND outside of a mask (H, W) bool of what turns, OTHER within, but DOUBTFUL where evidence
    (H, W) of the disc that turns too says background: few views see a small disc past the object."""
    evidence = np.where(mask, OTHER, BACKGROUND).astype(np.int8)
    if plane is not None:
        evidence[mask & (plane == BACKGROUND)] = DOUBTFUL
    return evidence


def refined_evidence(mask: np.ndarray, evidence: np.ndarray, last: bool) -> np.ndarray:
    """(H, W) int8: what a refined mask (H, W) bool says; DOUBTFUL outside of it where the evidence (H, W) before said
    nothing, so that colours alone decided, except in the last round."""
    doubtful = (evidence == UNKNOWN) & (not last)
    return np.where(mask, OTHER, np.where(doubtful, DOUBTFUL, BACKGROUND)).astype(np.int8)


def fill_in(mask: np.ndarray, within: np.ndarray) -> np.ndarray:
    """(H, W) bool: the mask (H, W) without specks and lines, with narrow gaps closed and small holes filled."""
    size = 2 * round(_CLOSING * max(mask.shape)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    clean = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    clean = cv2.morphologyEx(clean, cv2.MORPH_CLOSE, disc) > 0
    clean |= _parts(~clean, 0.0, _MAX_HOLE * mask.size)
    return _parts(clean & within, _MIN_AREA * mask.size, np.inf)


def _parts(mask: np.ndarray, smallest: float, largest: float) -> np.ndarray:
    """(H, W) bool: the connected parts of a mask (H, W) whose areas in pixels lie in (smallest, largest)."""
    label, _ = ndimage.label(mask)
    area = np.bincount(label.ravel()).astype(np.float64)
    area[0] = 0.0
    return ((area > smallest) & (area < largest))[label] & mask
