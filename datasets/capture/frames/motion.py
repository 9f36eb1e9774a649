"""How far the image has moved and how sharp it is, frame by frame, from small grey frames."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 640  # pixels; of the frames that are measured
BLURRED = 0.8  # share of the gradient that is left after blurring; sharp photographs have 0.45 to 0.7
_FLOW_SIDE = 320
_MIN_MOTION = 0.004  # of the diagonal: a reference frame is kept until the image has moved this far
_BLANK = 2.0  # grey levels that the pixels of an image deviate by at least, if it shows something
_MAX_SLOPE = 8.0  # grey levels per pixel: steeper slopes weigh no more than this one


@dataclass(frozen=True)
class FrameMeasures:
    """Motion and sharpness of each frame of a video."""

    position: np.ndarray  # (N,) motion of the image up to the frame, in diagonals of the frame
    sharpness: np.ndarray  # (N,) mean square of the gradient, grey levels per pixel
    blur: np.ndarray  # (N,) in [0, 1], see `blur`


def measure_frames(frames: Iterable[np.ndarray]) -> FrameMeasures:
    """Measures grey frames (H, W) uint8 one after the other; keeps no more than two of them.

    The position rests while the camera rests: motion is measured against a reference frame that stays the same until
    the image has moved visibly, so that noise does not add up."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    position, sharpness, blurs = [], [], []
    reference, travelled = None, 0.0
    for frame in frames:
        scale = _FLOW_SIDE / max(frame.shape)
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if reference is None or small.shape != reference.shape or reference.std() < _BLANK:
            reference = small
        is_blank = small.std() < _BLANK  # what moved before a covered lens, or while the image was black, is not known
        motion = 0.0 if is_blank else _mean_motion(flow.calc(reference, small, None), reference)
        position.append(travelled + motion)
        sharpness.append(gradient_energy(frame))
        blurs.append(blur(frame))
        if motion > _MIN_MOTION:
            reference, travelled = small, travelled + motion
    return FrameMeasures(np.array(position), np.array(sharpness), np.array(blurs))


def _mean_motion(flow: np.ndarray, gray: np.ndarray) -> float:
    """Root mean square of an optical flow (H, W, 2) in pixels, as a share of the diagonal; pixels weigh by the slope of
    (H, W) uint8, since the flow follows the noise on a bare wall."""
    smooth = cv2.GaussianBlur(gray, None, 1.5).astype(np.float32)
    slope = np.square(cv2.Sobel(smooth, -1, 1, 0, scale=0.125)) + np.square(cv2.Sobel(smooth, -1, 0, 1, scale=0.125))
    weights = np.minimum(slope, _MAX_SLOPE**2) + 1e-6
    return float(np.sqrt((weights * np.square(flow).sum(axis=-1)).sum() / weights.sum()) / np.hypot(*gray.shape))


def gradient_energy(gray: np.ndarray) -> float:
    """Mean square of the gradient of (H, W) uint8, in grey levels per pixel; blur lowers it first."""
    image = gray.astype(np.float32)
    return float(np.square(np.diff(image, axis=0)).mean() + np.square(np.diff(image, axis=1)).mean())


def blur(gray: np.ndarray) -> float:
    """Share in [0, 1] of the gradient of (H, W) uint8 that is left after blurring it: a blurred image loses little.

    After Crete et al. 2007, "The blur effect". It compares an image with itself, so it works for any scene."""
    image = gray.astype(np.float32)
    softened = cv2.blur(image, (5, 5))
    before, after = (np.abs(np.diff(x, axis=0)).mean() + np.abs(np.diff(x, axis=1)).mean() for x in (image, softened))
    return float(min(after / max(before, 1e-6), 1.0))
