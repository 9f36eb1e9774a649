"""Which frames of a video are used: evenly along the way of the picture, the sharpest of each stretch."""

from dataclasses import dataclass

import numpy as np

from datasets.capture.frames.motion import Measures

_NEIGHBOURS = 7  # frames before and after, that a frame is compared with
_SHARP = 0.6  # a frame with less of its neighbours' gradient energy is blurred
_MIN_STEP = 0.002  # diagonals of the frame: two frames that are nearer than this show the same


@dataclass(frozen=True)
class Selection:
    """The chosen frames, and why the others were not."""

    chosen: np.ndarray  # (K,) int64, ascending
    num_blurred: int  # frames less sharp than their neighbours
    num_still: int  # frames that show what another shows


def choose_frames(measures: Measures, num: int) -> Selection:
    """At most `num` frames, one from each of as many equal stretches of the way of the picture as hold one.

    From each stretch comes the frame that is sharpest compared with its neighbours, one near the middle if several
    are. Fewer come where the picture does not move far enough to tell more apart, or the video has no more."""
    sharpness = relative_sharpness(measures.sharpness)
    sharp = np.flatnonzero(sharpness >= _SHARP)
    position = measures.position[sharp] - measures.position[sharp].min()
    step = _step(position, num)
    stretch = np.floor(position / step).astype(np.int64)
    off_middle = np.abs(position / step - stretch - 0.5)
    score = sharpness[sharp] * (1.0 - 0.4 * off_middle)  # at an edge 0.8, so that frames do not come in twins
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


def _step(position: np.ndarray, num: int) -> float:
    """Length of the stretches: the shortest found for which at most `num` of them hold a frame."""
    whole = position.max() * (1.0 + 1e-9)
    step = best = max(whole / num, _MIN_STEP)
    while step >= _MIN_STEP:
        if len(np.unique(np.floor(position / step))) <= num:
            best = step
        elif step < 0.5 * best:
            break
        step *= 0.97
    return best
