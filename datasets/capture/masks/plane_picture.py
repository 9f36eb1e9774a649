"""What the photographs would show of the support plane alone: its texture, seen past the object from all sides."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from datasets.capture.sparse_model import SparseModel
from datasets.geometry.normalise import rotation_to_z
from datasets.geometry.planes import Plane

_SIDE = 384  # samples across the square of the plane
_MIN_VIEWS = 3  # that show a place of the plane, for its colour to be known
_ROUNDS, _SAMPLE = 3, 7  # of gains and texture; every so many places are enough for gains
_CROWD_SHARE = 0.4  # of the views that show a place; of those beside an object not even half show the plane
_SURE_CHANGE, _MIN_PLAIN = 0.1, 100  # log colour; places
_FOOT_SPREAD, _FOOT_RATIO = 0.15, 4.0  # log colour; of the median: where views disagree so much, they show an object
_HUE, _LIGHT, _SHADOW = 0.1, 0.2, 1.2  # log colour, beyond the plane's usual ones
_DISC_SHARE = 0.8  # of the views that have a place of a turntable's disc in frame show something that turns there
_OFFSET = 4.0  # added to 8-bit colours before the logarithm: noise of dark pixels does not blow up
_BLUR = 0.8  # pixels: less than a defocus, more than a demosaic


def log_colors(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) float32 natural logarithms of colours (H, W, 3) uint8: exposure and white balance become offsets."""
    return np.log(cv2.GaussianBlur(image, (0, 0), _BLUR).astype(np.float32) + _OFFSET)


@dataclass(frozen=True)
class PlanePicture:
    """The support plane as a square of samples, in the frame and units of the cameras."""

    to_world: np.ndarray  # (4, 3) float64: homogeneous sample coordinates (column, row, 1) to homogeneous points
    texture: np.ndarray  # (S, S, 3) float32 log colours that the views agree on
    spread: np.ndarray  # (S, S) float32: how much the views disagree there, in log colour
    known: np.ndarray  # (S, S) bool: enough views show it
    foot: np.ndarray  # (S, S) bool: what they show there is the object, which hides the plane from all of them
    gains: np.ndarray  # (N, 3) float32 log gains of the views relative to the texture

    @property
    def usual_spread(self) -> float:
        """The median disagreement of the views, in log colour; infinite where nothing is known."""
        return float(np.median(self.spread[self.known])) if self.known.any() else np.inf

    def homography(self, model: SparseModel, view: int) -> np.ndarray:
        """(3, 3) from sample coordinates to pixels of a view, pixel centres on integers, as OpenCV has them."""
        to_integers = np.array([[1.0, 0.0, -0.5], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])
        return to_integers @ model.camera(view).projection_matrix() @ self.to_world

    def sample_pixels(self, model: SparseModel, view: int) -> float:
        """How many pixels of a view a sample in the middle covers, along its longer side."""
        middle = np.append(np.full(2, 0.5 * (len(self.texture) - 1)), 1.0)
        matrix = self.homography(model, view)
        x, y, depth = matrix @ middle
        slope = (matrix[:2, :2] - np.outer([x / depth, y / depth], matrix[2, :2])) / depth
        return float(np.linalg.norm(slope, 2))

    def seen_from(self, model: SparseModel, view: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Log colours (H, W, 3), spread (H, W) and whether they are known (H, W), as one view would see the plane."""
        size = tuple(model.sizes[view].tolist())
        matrix = self.homography(model, view)
        colors = cv2.warpPerspective(self.texture, matrix, size, flags=cv2.INTER_LINEAR)
        spread = cv2.warpPerspective(self.spread, matrix, size, flags=cv2.INTER_LINEAR)
        known = cv2.warpPerspective(self.known.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
        return colors + self.gains[view], spread, known & in_front(matrix, size)


def paint_plane(
    plane: Plane,
    center: np.ndarray,
    radius: float,
    model: SparseModel,
    logs: Sequence[np.ndarray],
    turning: Sequence[np.ndarray] | None = None,
) -> PlanePicture:
    """The picture of a plane within `radius` of a point (3,), from the log colours (H, W, 3) of all views.

    turning: where the object stands on the disc of a turntable, the mask (H, W) bool of what turns in each view. The
    disc ends where the views do not show something that turns any more.

    An object in front of the plane is seen before another place of it in each view, so the colour that most views agree
    on is the plane's own, shadows that stand still included."""
    x, y, _ = rotation_to_z(plane.normal)
    origin = plane.project(center)
    step = 2.0 * radius / _SIDE
    to_world = np.zeros((4, 3))
    to_world[:3, 0], to_world[:3, 1] = step * x, step * y
    to_world[:3, 2] = origin - (x + y) * (radius - 0.5 * step)
    to_world[3, 2] = 1.0
    blank = np.zeros((_SIDE, _SIDE), np.float32)
    no = blank > 0
    empty = PlanePicture(to_world, np.dstack([blank] * 3), blank, no, no, np.zeros((len(logs), 3), np.float32))
    stack = np.full((len(logs), _SIDE, _SIDE, 3), np.nan, np.float32)
    for view, image in enumerate(logs):
        stack[view] = _rectified(image, empty.homography(model, view))
    if turning is not None:
        shown = np.stack([_rectified(m.astype(np.float32), empty.homography(model, v)) for v, m in enumerate(turning)])
        in_frame = np.isfinite(shown).sum(axis=0)
        turns = (np.nan_to_num(shown) > 0.5).sum(axis=0)
        disc = (turns >= _DISC_SHARE * in_frame) & (in_frame > 0.5 * len(shown))
        stack[:, ~disc] = np.nan
    return _combine(empty, stack)


def in_front(homography: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: whether the plane is seen in front of the camera at each pixel of an image of `size` (W, H)."""
    inverse = np.linalg.inv(homography)
    x, y = np.arange(size[0]), np.arange(size[1])
    return (inverse[2, 0] * x[None] + inverse[2, 1] * y[:, None] + inverse[2, 2]) > 0.0


def _rectified(image: np.ndarray, homography: np.ndarray) -> np.ndarray:
    """(S, S) or (S, S, 3) a view's values at the samples of the plane; NaN outside the image or behind the camera."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpPerspective(
        image, homography, (_SIDE, _SIDE), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=[np.nan] * 3
    )
    index = np.arange(_SIDE)
    depth = homography[2, 0] * index[None] + homography[2, 1] * index[:, None] + homography[2, 2]
    sampled[depth <= 0.0] = np.nan
    return sampled


def _combine(empty: PlanePicture, stack: np.ndarray) -> PlanePicture:
    """Gains and texture by turns, each the median of what the other leaves; stack: (N, S, S, 3) float32."""
    seen = np.pad(np.isfinite(stack[..., 0]).sum(axis=0) >= _MIN_VIEWS, 1)
    known = cv2.erode(seen.astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0  # interpolation stays within
    if not known.any():
        return empty
    visible = stack[:, known]  # (N, K, 3)
    sample = visible[:, ::_SAMPLE]
    gains = np.zeros((len(stack), 3), np.float32)
    for _ in range(_ROUNDS):
        offsets = sample - _median(sample - gains[:, None])
        gains = np.nan_to_num(_median(offsets.swapaxes(0, 1)))
    visible = visible - gains[:, None]
    texture, spread = _densest(visible)
    places = np.argwhere(known)
    outer = np.linalg.norm(places - places.mean(axis=0), axis=1)
    sure = (outer > np.median(outer)) & (np.abs(texture - _median(visible)).max(axis=-1) < _SURE_CHANGE)
    hidden = _is_object(texture, spread, sure)
    full = np.zeros((*known.shape, 3), np.float32)
    wide, foot = np.zeros(known.shape, np.float32), np.zeros(known.shape, np.uint8)
    full[known], wide[known], foot[known] = texture, spread, hidden
    foot = cv2.morphologyEx(foot, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0
    return PlanePicture(empty.to_world, full, wide, known, foot, gains)


def _is_object(texture: np.ndarray, spread: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """(K,) bool: the places where the views agree on a colour (K, 3), by `spread` (K,), that is not of the plane.

    sure: (K,) bool, places away from the object of which the crowd of the views and all of them say the same: they have
    the plane's colours. Elsewhere the plane may be darker, in the object's shadow, but of no other hue."""
    plain = sure & (spread < _FOOT_SPREAD)
    wide = spread > np.maximum(_FOOT_SPREAD, _FOOT_RATIO * np.median(spread))
    if plain.sum() < _MIN_PLAIN:
        return wide
    light = texture.mean(axis=1, keepdims=True)
    values = np.concatenate([texture - light, light], axis=1)
    low, high = np.quantile(values[plain], (0.05, 0.95), axis=0)
    margin = np.array([_HUE, _HUE, _HUE, _LIGHT])
    strange = (values < low - margin - np.array([0.0, 0.0, 0.0, _SHADOW])) | (values > high + margin)
    return wide | (strange.any(axis=1) & ~plain)


def _densest(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(K, 3) where the values (N, K, 3) of most views crowd, and (K,) how widely: NaN are views that do not show the
    place.

    The middle and half the width of the shortest interval that holds four tenths of the values (the shorth, Andrews et
    al. 1972): beside the foot of an object more than half of the views show the object, in many colours, and the others
    the plane, in one."""
    ordered = np.sort(values, axis=0)
    count = np.isfinite(values).sum(axis=0)
    middle, width = np.zeros(values.shape[1:], np.float32), np.zeros(values.shape[1:], np.float32)
    for num in np.unique(count):
        held = max(1, int(np.ceil(_CROWD_SHARE * num)) - 1)
        chosen = count == num
        column = ordered[:num, chosen]
        widths = column[held:] - column[:-held] if num > held else np.zeros((1, column.shape[1]), np.float32)
        first = widths.argmin(axis=0)[None]
        low = np.take_along_axis(column, first, axis=0)[0]
        width[chosen] = np.take_along_axis(widths, first, axis=0)[0] / 2.0
        middle[chosen] = low + width[chosen]
    return middle, width.max(axis=-1)


def _median(values: np.ndarray) -> np.ndarray:
    """(K, ...) the median of values (N, K, ...) over the first axis, without those that are NaN; NaN where all are."""
    ordered = np.sort(values, axis=0)  # NaN comes last
    middle = np.maximum(np.isfinite(values).sum(axis=0) - 1, 0) // 2
    return np.take_along_axis(ordered, middle[None], axis=0)[0]
