"""What of a mask carries the object: its alpha, the brighter of two levels, or grey between two ends.

Programs write masks as black and white, as 0 and 1, as numbers of classes, as palettes, with soft edges, and as the
object cut out of its photograph. What may mean more than one thing is refused."""

from dataclasses import dataclass

import cv2
import numpy as np

_SAME = 32  # levels that differ by less, of more than two, are noise of one
_NEAR = 0.08  # of the way between the two ends: as far as a level may be from its end
_MIN_NEAR = 0.6  # of the pixels beyond edges, the share that must be near their end
_FEW = 8  # levels: up to here they are classes, between which nothing fades
_MAX_FLAT = 0.01  # of the object, the most that flat patches of a third class may cover


@dataclass(frozen=True)
class MaskLevels:
    """A mask as it was understood."""

    alpha: np.ndarray  # (H, W) uint8, 255 on the object
    said: str  # what carried the object, in words


def mask_levels(image: np.ndarray, lossy: bool = False) -> MaskLevels:
    """The object in an image (H, W, 3|4) uint8. lossy: whether it was compressed, so that few levels are noise.

    Raises ValueError, with what the image holds instead, where it may mean more than one thing."""
    if image.shape[2] == 4 and (alpha := image[..., 3]).min() < alpha.max() and alpha.min() < 255 - _SAME:
        return MaskLevels(_two_levels(alpha) if len(_levels_of(alpha)) == 2 else alpha, "by their alpha")
    colours = image[..., :3]
    red, green, blue = cv2.split(np.ascontiguousarray(colours))
    level = cv2.max(cv2.max(red, green), blue)
    grey = np.array_equal(red, green) and np.array_equal(green, blue)
    levels = _levels_of(level)
    if len(levels) == 1 and not grey and not (colours == colours[:1, :1]).all():
        raise ValueError("colours that are equally bright")
    spread = int(levels[-1]) - int(levels[0])
    if spread < _SAME and (lossy or len(levels) != 2 or levels[0] > 255 - _SAME):
        return _one_level(level, lossy)
    if len(levels) == 2:
        if not grey and (count := len(np.unique(colours.reshape(-1, 3), axis=0))) > 2:
            raise ValueError(f"{count} colours")
        names = "" if levels.tolist() == [0, 255] else f" ({levels[0]} and {levels[1]})"
        return MaskLevels(_two_levels(level), f"as the brighter of two levels{names}")
    return MaskLevels(_between_ends(level, levels), "as grey levels between two ends")


def _levels_of(level: np.ndarray) -> np.ndarray:
    """The different values of (H, W) uint8, ascending."""
    return np.flatnonzero(np.bincount(level.ravel(), minlength=256))


def _two_levels(level: np.ndarray) -> np.ndarray:
    return np.where(level == level.max(), 255, 0).astype(np.uint8)


def _one_level(level: np.ndarray, lossy: bool) -> MaskLevels:
    """A mask that is the same everywhere."""
    low, high = int(level.min()), int(level.max())
    if high < _SAME and (lossy or low == high) and not low == high == 1:
        return MaskLevels(np.zeros_like(level), "black everywhere")
    if low > 255 - _SAME or low == high == 1:
        return MaskLevels(np.full_like(level, 255), "white everywhere")
    raise ValueError(f"the one level {low}" if low == high else f"levels from {low} to {high} only")


def _between_ends(level: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """(H, W) uint8: levels stretched so that the two ends that nearly all are near become 0 and 255."""
    threshold, _ = cv2.threshold(level, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    inside = level > threshold
    low, high = float(np.median(level[~inside])), float(np.median(level[inside]))
    share = (level.astype(np.float32) - low) / (high - low)
    flat = cv2.dilate(level, np.ones((3, 3), np.uint8)) == cv2.erode(level, np.ones((3, 3), np.uint8))
    between = flat & (np.minimum(np.abs(share), np.abs(share - 1.0)) > _NEAR)
    if len(levels) <= _FEW and between.sum() > _MAX_FLAT * inside.sum():
        raise ValueError(f"{len(levels)} levels, {', '.join(map(str, levels))}")
    for side, end in ((inside, 1.0), (~inside, 0.0)):
        beyond_edges = cv2.erode(side.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        near = np.abs(share[beyond_edges] - end) < _NEAR
        if near.sum() < _MIN_NEAR * near.size:
            raise ValueError(f"{len(levels)} grey levels, most of them near neither of two ends")
    return np.rint(255.0 * share).clip(0, 255).astype(np.uint8)
