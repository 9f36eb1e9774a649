"""What stays the same between frames: whether the camera stood still, and where between frames it was moved."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from datasets.capture.setup.record import Kind

SMALL_SIDE = 160  # pixels, of the frames that are compared
_TINY_SIDE = 40  # pixels, of those whose shading is compared: noise and texture average out
_DARK = 8.0  # grey levels added before the logarithm, so that noise in the dark does not count
_BORDER = 0.1  # of the width and the height: the object is seldom there
_TOLERANCE = 0.04  # of the logarithm of a colour: noise and JPEG stay below it
_MIN_STILL = 0.6  # of the border; still cameras gave 0.84 to 1.0, moving ones before texture 0.03 to 0.24
_MIN_CONTRAST = 0.01  # of the logarithm: less is what 8 bits cannot hold
_MAX_CHANGE = 1 / 3  # of the contrast of the border; still cameras gave 0.04 to 0.2, moving ones 0.49 to 1.0
_WINDOW, _MIN_FRAMES = 5, 3  # frames on each side of a cut that are compared, at most and at least
_MAX_RATIO, _MIN_ORDER = 0.92, 0.95  # of the shares across a cut to those on its sides; pairs in this order


_MIN_RESPONSE, _MIN_SHIFT = 0.5, 1.5  # of a correlation that is sure, pixels: the border as a whole moved


@dataclass(frozen=True)
class Recognition:
    """What the borders of the frames tell."""

    kind: Kind
    method: str
    still_share: float  # see Setup
    contrast: float  # of the border, of the logarithm of its brightness
    change: float  # of the border within a position of the camera, over its contrast


def log_frame(image: np.ndarray, side: int) -> np.ndarray:
    """(h, w, 3) float32 logarithms of the colours (H, W, 3) uint8 of a frame, its longer side at most `side`."""
    scale = min(side / max(image.shape[:2]), 1.0)
    size = tuple(max(round(scale * length), 8) for length in image.shape[1::-1])
    return np.log(cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) + _DARK)


def still_shares(frames: Sequence[np.ndarray]) -> np.ndarray:
    """(N, N) in [0, 1]: the share of the border that stays the same from one of `log_frame` to another.

    Exposure and white balance may differ: the median difference of each channel is taken off. 0 between frames of
    different sizes."""
    shares = np.eye(len(frames), dtype=np.float32)
    for shape in {frame.shape for frame in frames}:
        members = [i for i, frame in enumerate(frames) if frame.shape == shape]
        border = _border(shape)
        colors = np.stack([cv2.blur(frames[i], (3, 3))[border] for i in members])[:, ::2]
        for i, own in zip(members, colors, strict=True):
            difference = colors - own
            difference -= np.median(difference, axis=1, keepdims=True)
            shares[i, members] = (np.abs(difference).max(axis=2) < _TOLERANCE).mean(axis=1)
    return shares


def find_positions(shares: np.ndarray) -> list[range]:
    """Cuts N frames in their order where the camera was moved between two of them, from their `still_shares`.

    At a cut, frames before and after it differ more than those before it and those after it differ among themselves:
    a light that drifts, or one frame that is unlike all others, makes no cut."""
    num = len(shares)
    strength = np.zeros(num + 1)
    for i in range(_MIN_FRAMES, num - _MIN_FRAMES + 1):
        before, after = np.arange(max(i - _WINDOW, 0), i), np.arange(i, min(i + _WINDOW, num))
        across = shares[np.ix_(before, after)].ravel()
        within = np.concatenate([shares[np.ix_(side, side)][np.triu_indices(len(side), 1)] for side in (before, after)])
        order = (across[:, None] < within).mean()
        ratio = np.median(across) / max(np.median(within), 1e-6)
        if ratio < _MAX_RATIO and order >= _MIN_ORDER:
            strength[i] = order - ratio
    cuts = [0]
    for i in range(num):
        strongest = strength[max(i - _MIN_FRAMES + 1, 0) : i + _MIN_FRAMES].max()
        if i - cuts[-1] >= _MIN_FRAMES and 0.0 < strength[i] == strongest:
            cuts.append(i)
    return [range(start, end) for start, end in zip(cuts, [*cuts[1:], num], strict=True)]


def recognise(frames: Sequence[np.ndarray], shares: np.ndarray, positions: Sequence[range]) -> Recognition:
    """Whether the camera stood still, from frames of `log_frame` with SMALL_SIDE.

    A border with texture tells at once. A plain one, a sheet of paper or a bare desk, has shading all the same: it
    stays before a still camera, and turns with the light when one walks. What lenses do to all frames, darker corners,
    is taken off first; where the edge of a table is all that there is, it shifts. A blank border tells nothing, and
    holds nothing that could pull the cameras together."""
    still_share = float(np.median(np.diag(shares, 1)))
    measured = [_shading([frames[i] for i in part]) for part in positions if len(part) > _MIN_FRAMES]
    contrast, residual = np.mean(measured, axis=0).tolist() if measured else (0.0, 0.0)
    change = residual / max(contrast, 1e-6)
    if still_share < _MIN_STILL:
        return Recognition("handheld", "moving border", still_share, contrast, change)
    if contrast < _MIN_CONTRAST:
        return Recognition("handheld", "blank border", still_share, contrast, change)
    if change > _MAX_CHANGE or _shifting_share(frames, positions) > 0.5:
        return Recognition("handheld", "moving border", still_share, contrast, change)
    return Recognition("turntable", "still border", still_share, contrast, change)


def _border(shape: tuple[int, ...], share: float = _BORDER) -> np.ndarray:
    """(h, w) bool: the frame around a picture, `share` of its sides wide."""
    border = np.ones(shape[:2], bool)
    high, wide = (max(round(share * length), 1) for length in shape[:2])
    border[high:-high, wide:-wide] = False
    return border


def _shifting_share(frames: Sequence[np.ndarray], positions: Sequence[range]) -> float:
    """The share of neighbouring frames of one position whose borders are surely the same, but shifted."""
    shifted = [_is_shifted(frames[i], frames[i + 1]) for part in positions for i in part[:-1] if i + 1 in part]
    return float(np.mean(shifted)) if shifted else 0.0


def _is_shifted(first: np.ndarray, second: np.ndarray) -> bool:
    if first.shape != second.shape:
        return False
    window = cv2.GaussianBlur(_border(first.shape, 0.18).astype(np.float32), None, 3.0)
    window[:2] = window[-2:] = 0.0
    window[:, :2] = window[:, -2:] = 0.0
    edges = []
    for frame in (first, second):
        brightness = cv2.GaussianBlur(frame.mean(axis=2), None, 1.0)
        slope = np.hypot(cv2.Sobel(brightness, -1, 1, 0), cv2.Sobel(brightness, -1, 0, 1))
        edges.append(np.minimum(slope, 0.5) * window)
    (right, down), response = cv2.phaseCorrelate(*edges)
    return response > _MIN_RESPONSE and float(np.hypot(right, down)) > _MIN_SHIFT


def _shading(frames: Sequence[np.ndarray]) -> tuple[float, float]:
    """The contrast of the border's brightness without darker corners, and how far it changes over these frames."""
    shape = frames[0].shape
    if any(frame.shape != shape for frame in frames):
        return 0.0, 0.0
    scale = _TINY_SIDE / max(shape[:2])
    size = round(shape[1] * scale), round(shape[0] * scale)
    tiny = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA).mean(axis=2) for frame in frames])
    border = _border(tiny.shape[1:])
    rows, columns = np.nonzero(border)
    radius = np.square(rows + 0.5 - size[1] / 2) + np.square(columns + 0.5 - size[0] / 2)
    radius /= radius.max()
    lens = np.stack([np.ones_like(radius), radius, np.square(radius)], axis=1)
    shading = tiny[:, border].T
    shading = (shading - lens @ np.linalg.lstsq(lens, shading, rcond=None)[0]).T
    shading -= np.median(shading, axis=1, keepdims=True)
    change = shading - np.median(shading, axis=0)
    return float(np.quantile(np.abs(shading), 0.75)), float(np.quantile(np.abs(change), 0.75))
