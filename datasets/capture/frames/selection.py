"""Selects frames of a video: evenly along the motion of the image, the sharpest of each stretch."""

from dataclasses import dataclass

import numpy as np

from datasets.capture.frames.motion import FrameMeasures

_NEIGHBOURS = 7  # frames before and after that a frame is compared with
_MIN_SHARPNESS = 0.6  # a frame with less of its neighbours' gradient energy is blurred
_MIN_STEP = 0.002  # diagonals of the frame: two frames that are nearer than this show the same


@dataclass(frozen=True)
class Selection:
    """The chosen frames, and why the others were not chosen."""

    chosen: np.ndarray  # (K,) int64, ascending
    num_blurred: int  # frames less sharp than their neighbours
    num_still: int  # frames that show the same as another


def select_frames(measures: FrameMeasures, num: int) -> Selection:
    """At most `num` frames. Divides the motion of the image into equal stretches, at most `num` with a frame.

    Takes from each stretch the frame that is sharpest compared with its neighbours, and of several sharp ones that near
    the middle. Gives fewer where the image does not move far enough to tell more apart, or the video has no more."""
    sharpness = relative_sharpness(measures.sharpness)
    sharp = np.flatnonzero(sharpness >= _MIN_SHARPNESS)
    position = measures.position[sharp] - measures.position[sharp].min()
    length = _stretch_length(position, num)
    stretch = np.floor(position / length).astype(np.int64)
    off_middle = np.abs(position / length - stretch - 0.5)
    score = sharpness[sharp] * (1.0 - 0.4 * off_middle)  # 0.8 at an edge, so that neighbours are not both chosen
    order = np.lexsort((-score, stretch))
    first = np.concatenate([[True], np.diff(stretch[order]) > 0])
    chosen = np.sort(sharp[order[first]])
    num_still = len(sharp) - len(np.unique(np.floor(position / _MIN_STEP)))
    return Selection(chosen, len(sharpness) - len(sharp), num_still)


def relative_sharpness(sharpness: np.ndarray) -> np.ndarray:
    """(N,) sharpness of each frame over the median of its neighbourhood; above 1 it is sharper than these."""
    padded = np.pad(sharpness, _NEIGHBOURS, mode="reflect" if len(sharpness) > _NEIGHBOURS else "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1)
    return sharpness / np.maximum(np.median(windows, axis=1), 1e-9)


def _stretch_length(position: np.ndarray, num: int) -> float:
    """The shortest length, of those tried, for which at most `num` stretches contain a frame."""
    total = position.max() * (1.0 + 1e-9)
    step = best = max(total / num, _MIN_STEP)
    while step >= _MIN_STEP:
        if len(np.unique(np.floor(position / step))) <= num:
            best = step
        elif step < 0.5 * best:
            break
        step *= 0.97
    return best
