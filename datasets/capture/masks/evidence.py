"""What one photograph says about the object: here is background, here is something else, or nothing."""

import cv2
import numpy as np
from scipy import ndimage

from datasets.capture.masks.plane_picture import PlanePicture, in_front
from datasets.capture.setup.record import SEEMS_STILL, SEEMS_TO_TURN, STILL, TURNS, TURNS_OR_SHADED
from datasets.capture.sparse_model import SparseModel

BACKGROUND, DOUBTFUL, UNKNOWN, OTHER = -5, -1, 0, 1  # votes: DOUBTFUL is background by its colour alone
OBJECT = 2  # OTHER, and surely no support
_TOLERANCE, _SPREAD_WEIGHT, _MAX_SPREAD = 0.1, 2.0, 0.1  # log colour: noise and vignette; glosses and misregistration
_WINDOW = 4.0  # pixels, of the structure that is compared
_FINE_SAMPLE, _SAMPLE_BLUR = 2.0, 0.5  # pixels, of samples whose picture is as sharp as a view; of larger ones
_NOISE = 3.0  # grey levels after the blur of log_colors, three times what small sensors have: less is no structure
_MOST = 0.5  # of the places around one, which speak for it
_MIN_MATCH = 0.2  # correlation; newspapers gave 0.9 in the median, a box of their colours 0.05
_CLOSING = 0.006  # of the longer side of the image: gaps where the object looks like the plane
_MIN_AREA, _MAX_HOLE = 0.0005, 0.002  # of the image


def plane_evidence(
    picture: PlanePicture, model: SparseModel, view: int, log_image: np.ndarray, turns: bool = False
) -> np.ndarray:
    """(H, W) int8: BACKGROUND where a view shows the plane as the picture has it, OTHER where it shows something else,
    UNKNOWN where the picture says nothing, from the log colours (H, W, 3) of the view.

    A pixel may have the colour of any of its neighbours in the picture: edges of texture move by the errors of the
    poses, and are blurred by defocus. Where the colours are those of the plane but the structure is not, as of a white
    label before a newspaper, the view says nothing; but where the plane turns in the light, its structure changes."""
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
    if not turns:
        within = evidence == BACKGROUND
        evidence[within & _unlike(expected, log_image, within, picture.sample_pixels(model, view))] = UNKNOWN
    return evidence


def _unlike(expected: np.ndarray, seen: np.ndarray, within: np.ndarray, sample: float) -> np.ndarray:
    """(H, W) bool: where most of the places around a pixel, of those `within` (H, W) bool, have another structure than
    is expected, by the log colours (H, W, 3) of both: they do not correlate, and are not plain either.

    sample: pixels of a sample of the picture, which has nothing finer: the view is blurred as far."""
    coarse = max(sample / _FINE_SAMPLE, 1.0)

    def smooth(values: np.ndarray, scale: float = coarse * _WINDOW) -> np.ndarray:
        return cv2.GaussianBlur(values.astype(np.float32), (0, 0), scale)

    grey = [image.mean(axis=-1) for image in (expected, seen)]
    if coarse > 1.0:
        grey[1] = smooth(grey[1], _SAMPLE_BLUR * sample)
    first, second = (image - smooth(image) for image in grey)
    powers = smooth(first * first), smooth(second * second)
    match = smooth(first * second) / np.sqrt(powers[0] * powers[1] + 1e-12)
    structured = np.sqrt(np.maximum(*powers)) > _NOISE * np.exp(-grey[1])
    against = smooth((match < _MIN_MATCH) & structured & within, 2.0 * coarse * _WINDOW)
    return against > _MOST * smooth(within, 2.0 * coarse * _WINDOW)


def mask_evidence(turning: np.ndarray) -> np.ndarray:
    """(H, W) int8: what a mask (H, W) uint8 of what turns says: BACKGROUND, UNKNOWN, OTHER where it may be a shadow, or
    OBJECT."""
    levels = [(STILL + SEEMS_STILL) // 2, (SEEMS_TO_TURN + TURNS_OR_SHADED) // 2, (TURNS_OR_SHADED + TURNS) // 2]
    return np.array([BACKGROUND, UNKNOWN, OTHER, OBJECT], np.int8)[np.digitize(turning, levels)]


def disc_evidence(
    evidence: np.ndarray, picture: PlanePicture, model: SparseModel, view: int, log_image: np.ndarray
) -> np.ndarray:
    """(H, W) int8: `mask_evidence` (H, W) of a view, without what the disc of the turntable, which turns too, may be.

    OTHER where the disc would be seen past the object, DOUBTFUL where the view, with log colours (H, W, 3), looks as
    the picture of the disc does: few views see a small disc past the object."""
    plane = plane_evidence(picture, model, view, log_image, turns=True)
    turns = evidence >= OTHER
    disc = np.where(turns & _near_foot(picture, model, view), OTHER, evidence).astype(np.int8)
    disc[turns & (plane == BACKGROUND)] = DOUBTFUL
    return disc


def _near_foot(picture: PlanePicture, model: SparseModel, view: int) -> np.ndarray:
    """(H, W) bool: where a view would show the middle of a picture, half as wide as all of it."""
    side = len(picture.known)
    middle = cv2.circle(np.zeros((side, side), np.uint8), (side // 2, side // 2), side // 4, 1, -1)
    size = tuple(model.sizes[view].tolist())
    matrix = picture.homography(model, view)
    return (cv2.warpPerspective(middle, matrix, size, flags=cv2.INTER_NEAREST) > 0) & in_front(matrix, size)


def refined_evidence(mask: np.ndarray, evidence: np.ndarray, last: bool) -> np.ndarray:
    """(H, W) int8: what a refined mask (H, W) bool says; DOUBTFUL outside of it where the evidence (H, W) before said
    nothing, so that colours alone decided, except in the last round."""
    doubtful = (evidence == UNKNOWN) & (not last)
    inside = np.where(evidence == OBJECT, OBJECT, OTHER)
    return np.where(mask, inside, np.where(doubtful, DOUBTFUL, BACKGROUND)).astype(np.int8)


def told_share(mask: np.ndarray, evidence: np.ndarray, reach: float) -> float:
    """In [0, 1]: the share of the outline of a mask (H, W) bool that lies within `reach` pixels of what the evidence
    (H, W) of the view calls background, outside of the mask, and of what it calls something else, inside."""
    size = 2 * round(reach) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    outline = mask & (cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    sides = [(evidence < UNKNOWN) & ~mask, (evidence > UNKNOWN) & mask]
    near = [cv2.dilate(side.astype(np.uint8), disc)[outline] > 0 for side in sides]
    return float((near[0] & near[1]).mean()) if outline.any() else 0.0


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
