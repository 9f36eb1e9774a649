"""Refines the outline of an object in one photograph, from a rough silhouette."""

import cv2
import numpy as np
from scipy import ndimage

from datasets.capture.masks.evidence import BACKGROUND, OBJECT, OTHER

_ITERATIONS = 3
_HOLE_SHARE = 0.5  # of a hole shows what is behind the object
_MIN_PART = 0.02  # of the largest part: smaller parts of a mask are specks


def refine_mask(
    image: np.ndarray, silhouette: np.ndarray, possible: np.ndarray, evidence: np.ndarray, band: float
) -> np.ndarray:
    """(H, W) bool: the object in an image (H, W, 3) uint8, whose outline lies within `band` pixels of that of the
    silhouette (H, W) bool, or anywhere in what is `possible` (H, W) bool, with the evidence (H, W) int8 of the view.

    GrabCut (Rother et al. 2004): the band and what is only possible are undecided, and colours and edges decide."""
    rows, columns = np.nonzero(silhouette | possible)
    if not len(rows):
        return silhouette
    reach = int(4.0 * band) + 10
    crop = (
        slice(max(rows.min() - reach, 0), rows.max() + reach + 1),
        slice(max(columns.min() - reach, 0), columns.max() + reach + 1),
    )
    rough, told = silhouette[crop].astype(np.uint8), evidence[crop]
    depth = cv2.distanceTransform(rough, cv2.DIST_L2, 5)
    distance = cv2.distanceTransform(1 - rough, cv2.DIST_L2, 5)
    label = np.full(rough.shape, cv2.GC_BGD, np.uint8)
    near = (distance > 0.0) & ((distance <= band) | possible[crop])
    label[near & (told != BACKGROUND)] = cv2.GC_PR_BGD
    label[near & (told >= OTHER)] = cv2.GC_PR_FGD
    label[depth > 0.0] = cv2.GC_PR_FGD
    label[(depth > 0.0) & (told == BACKGROUND)] = cv2.GC_PR_BGD
    label[((depth > band) & (told >= OTHER)) | ((depth > 0.25 * band) & (told == OBJECT))] = cv2.GC_FGD
    label[(depth > 2.0 * band) & (told == BACKGROUND)] = cv2.GC_FGD  # deep inside: it only looks like the plane
    refined = np.zeros_like(silhouette)
    if {*np.unique(label)} & {cv2.GC_FGD, cv2.GC_PR_FGD} and {*np.unique(label)} & {cv2.GC_BGD, cv2.GC_PR_BGD}:
        colors = np.ascontiguousarray(image[crop][..., ::-1])
        cv2.setRNGSeed(0)
        cv2.grabCut(colors, label, None, np.zeros((1, 65)), np.zeros((1, 65)), _ITERATIONS, cv2.GC_INIT_WITH_MASK)
    refined[crop] = (label == cv2.GC_FGD) | (label == cv2.GC_PR_FGD)
    return without_specks(_without_false_holes(refined, evidence))


def _without_false_holes(mask: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """(H, W) bool: the mask (H, W) bool without holes that the evidence (H, W) int8 does not tell: white letters on a
    box have the colours of the newspaper below it, but do not look like its place behind them."""
    label, num = ndimage.label(~mask)
    size = np.bincount(label.ravel(), minlength=num + 1)
    told = np.bincount(label.ravel(), (evidence == BACKGROUND).ravel(), minlength=num + 1)
    false = told < _HOLE_SHARE * size
    outer = np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]])
    false[outer] = False
    return mask | (false[label] & ~mask)


def without_specks(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: the mask (H, W) bool with hairs of a pixel cut off, and only its large parts."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc)
    label, num = ndimage.label(opened)
    area = np.bincount(label.ravel(), minlength=num + 1)
    area[0] = 0
    return (area > _MIN_PART * area.max())[label] & (opened > 0)


def keep_near(mask: np.ndarray, silhouette: np.ndarray, reach: float) -> np.ndarray:
    """(H, W) bool: the mask (H, W) bool, corrected where it is more than `reach` pixels from the silhouette (H, W) bool
    that all photographs agree on."""
    size = 2 * round(reach) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    rough = silhouette.astype(np.uint8)
    return (mask & (cv2.dilate(rough, disc) > 0)) | (cv2.erode(rough, disc) > 0)
