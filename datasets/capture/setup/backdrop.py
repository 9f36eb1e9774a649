"""Tells what turns from the still backdrop, in the frames of one position of the camera."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from datasets.capture.setup.record import SEEMS_STILL, SEEMS_TO_TURN, STILL, TURNS

MASK_SIDE = 400  # pixels, of the frames that masks are made from
_MIN_DIFFERENCE = 0.05  # of the logarithm of a colour; twice as much is clearly not the backdrop
_WEAK, _WEAK_DARKER = 0.6, 1.2  # of the difference: beside what is clear these count too, the second where it is darker
_NOISE = 2.0  # times the noise of a pixel: the least difference, for very noisy frames
_OWN_TOLERANCE, _MAX_OWN_TOLERANCE = 0.02, 0.1  # of the fill: a frame that is nearer shows the backdrop
_REACH, _MIN_SHOWN, _END = 9, 2, 0.002  # pixels a round, both ways; frames; of what is known: less new ends it
_QUIET, _MIN_QUIET = 4.0, 0.01  # times the noise of the backdrop; of the logarithm: less is the backdrop itself
_QUIET_BLUR, _NARROW = 1.5, 5  # pixels: against noise; what is quiet is at least so wide
_HALO = 3  # pixels: what blurs the edge of what turns, defocus and the blur against noise, is narrower
_BORDER, _STRIDE, _REWEIGHTINGS = 0.12, 7, 6  # of the sides: where light is measured; every 7th pixel; robust fits
_CLOSING = 1 / 16  # of the longer side: gaps in what turns that are closed
_MIN_PART = 0.05  # of the largest part: smaller ones are dropped


def masks_of_position(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """(h, w) uint8 of each frame (h, w, 3) of `log_frame`, all of one position: the levels of `record`.

    What changes at all over the frames is found first. Within it the backdrop is found from the frames that show it. An
    object of the backdrop's colour is told by its edges and prints: gaps between them are closed. STILL is what differs
    from the backdrop by no more than its own noise, all the way to where nothing ever turns."""
    logs = _without_gains(np.stack(frames))
    median = np.median(logs, axis=0)
    noise = 1.4826 * float(np.median(np.abs(logs - median)))
    difference = max(_MIN_DIFFERENCE, _NOISE * noise)
    changed = _changed(logs, median, _WEAK * difference)
    if not changed.any() or changed.all():
        return [np.where(changed, TURNS, STILL).astype(np.uint8) for _ in frames]
    excesses = logs - _backdrop(logs, median, changed)
    return [
        _grey(_mask(excess, changed, difference), still, _halo(excess))
        for excess, still in zip(excesses, _still_parts(excesses, changed), strict=True)
    ]


def _grey(turns: np.ndarray, still: np.ndarray, halo: np.ndarray) -> np.ndarray:
    """(h, w) uint8 levels, from what is taken to turn, what surely is still, and what edges may blur, (h, w) bool."""
    rim = cv2.erode(turns.astype(np.uint8), _disc(2 * _HALO + 1)) == 0
    turning = np.where(still | (rim & halo), SEEMS_TO_TURN, TURNS)
    return np.where(turns, turning, np.where(still, STILL, SEEMS_STILL)).astype(np.uint8)


def _halo(excess: np.ndarray) -> np.ndarray:
    """(h, w) bool: where a frame's logarithms (h, w, 3) differ from the backdrop less than half as much as close by."""
    size = np.abs(cv2.GaussianBlur(excess, None, 1.0)).max(axis=2)
    return size < 0.5 * cv2.dilate(size, _disc(2 * _HALO + 1))


def _still_parts(excesses: np.ndarray, changed: np.ndarray) -> Iterator[np.ndarray]:
    """(h, w) bool of each frame: where it surely shows the backdrop, from its logarithms less the backdrop's (h, w, 3).

    A white thing before a white wall differs from it little, but by more than noise: between what differs clearly and
    what does not differ at all nothing is sure."""
    smooth = [cv2.GaussianBlur(excess, None, _QUIET_BLUR) for excess in excesses]
    noise = 1.4826 * float(np.median([np.median(np.abs(excess[~changed])) for excess in smooth]))
    for excess in smooth:
        quiet = (np.abs(excess).max(axis=2) < max(_QUIET * noise, _MIN_QUIET)) | ~changed
        quiet = cv2.morphologyEx(quiet.astype(np.uint8), cv2.MORPH_OPEN, _disc(_NARROW))
        _, labels = cv2.connectedComponents(quiet, connectivity=4)
        outside = np.unique(labels[~changed])
        yield np.isin(labels, outside[outside > 0])


def _without_gains(logs: np.ndarray) -> np.ndarray:
    """The logarithms (N, h, w, 3) with the light of their median: exposure, white balance, and what drifts smoothly.

    A surface of second degree is fitted to how the border of each frame differs from the median, and taken off: a
    window behind passing clouds brightens one side more than the other. What turns at the border counts little."""
    height, width = logs.shape[1:3]
    y, x = np.meshgrid(np.linspace(-1.0, 1.0, height), np.linspace(-1.0, 1.0, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    border = np.maximum(np.abs(x), np.abs(y)) > 1.0 - 2.0 * _BORDER
    at_border = terms[border][::_STRIDE]
    result = np.empty_like(logs)
    for _ in range(2):
        median = np.median(logs, axis=0)
        for i, log in enumerate(logs):
            gain = np.median((log - median).reshape(-1, 3), axis=0)
            difference = (log - median - gain)[border][::_STRIDE]
            weights = np.ones(len(difference))
            for _ in range(_REWEIGHTINGS):
                weighted = at_border * weights[:, None]
                surface = np.linalg.solve(weighted.T @ at_border + 1e-3 * np.eye(6), weighted.T @ difference)
                misfit = np.abs(difference - at_border @ surface).max(axis=1)
                weights = 1.0 / (1.0 + np.square(misfit / _MIN_DIFFERENCE))
            result[i] = log - gain - (terms @ surface).astype(np.float32)
        logs = result.copy()
    return logs


def _changed(logs: np.ndarray, median: np.ndarray, difference: float) -> np.ndarray:
    """(h, w) bool: where frames differ from their median; without holes, and a little wider.

    The middle of a plain thing never changes, and where its upper edge turns on the spot no change encloses it."""
    count = sum((np.abs(cv2.blur(log - median, (3, 3))).max(axis=2) > difference).astype(np.int32) for log in logs)
    changed = (count >= max(2, len(logs) // 24)).astype(np.uint8)
    changed = cv2.morphologyEx(changed, cv2.MORPH_OPEN, np.ones((3, 3)))
    changed = _closed(_large_parts(changed))
    return cv2.dilate(_fill_holes(changed).astype(np.uint8), np.ones((7, 7))) > 0


def _backdrop(logs: np.ndarray, median: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """(h, w, 3) the backdrop; where something turns before it, from the frames that show it there.

    It grows inwards from where nothing turns, in each frame by what goes on smoothly: a backdrop that a narrow side of
    the object leaves free in two frames is known. What no frame shows is filled in from around."""
    around = (cv2.dilate(changed.astype(np.uint8), np.ones((25, 25))) > 0) & ~changed
    texture = np.abs(median - cv2.blur(median, (9, 9)))[around]
    tolerance = np.clip(2.0 * np.median(texture) if texture.size else 0.0, _OWN_TOLERANCE, _MAX_OWN_TOLERANCE)
    smooth = [cv2.GaussianBlur(log, None, _QUIET_BLUR) for log in logs]
    shown = np.repeat(~changed[None], len(logs), axis=0)
    backdrop, known = median, ~changed
    while True:
        fill = _fill_smoothly(backdrop, known)
        for log, own in zip(smooth, shown, strict=True):
            near = cv2.dilate(own.astype(np.uint8), np.ones((_REACH, _REACH)))
            near[np.abs(log - fill).max(axis=2) > tolerance] = 0
            own |= cv2.morphologyEx(near, cv2.MORPH_OPEN, _disc(_NARROW)) > 0
        total = shown.sum(axis=0)
        found = changed & (total >= _MIN_SHOWN)
        mean = np.einsum("nhw,nhwc->hwc", shown, logs) / np.maximum(total, 1)[..., None]
        backdrop = np.where(found[..., None], mean, fill)
        if (found & ~known).sum() <= _END * found.sum():
            return backdrop
        known |= found


def _fill_smoothly(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(h, w, 3) `values` where `known`, elsewhere a smooth surface through those around, from coarse to fine."""
    height, width = known.shape
    if known.all() or min(height, width) < 4:
        return np.where(known[..., None], values, values[known].mean(axis=0) if known.any() else values.mean((0, 1)))
    size = max(width // 2, 2), max(height // 2, 2)
    weight = cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    sums = cv2.resize(np.where(known[..., None], values, 0.0).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    coarse = _fill_smoothly(sums / np.maximum(weight, 1e-6)[..., None], weight > 0.2)
    result = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    for _ in range(30):
        result = cv2.blur(np.where(known[..., None], values, result), (3, 3))
    return np.where(known[..., None], values, result).astype(np.float32)


def _mask(excess: np.ndarray, changed: np.ndarray, difference: float) -> np.ndarray:
    """(h, w) bool: what turns, from a frame's logarithms (h, w, 3) less the backdrop's."""
    smooth = cv2.GaussianBlur(excess, None, 1.0)
    brightness = smooth.mean(axis=2)
    hue = np.abs(smooth - brightness[..., None]).max(axis=2)
    size = np.abs(smooth).max(axis=2)
    weak = _WEAK * difference
    likely = (size > weak) & ((hue > 0.5 * weak) | (brightness > 0.0)) | (size > _WEAK_DARKER * difference)
    _, labels = cv2.connectedComponents((likely & changed).astype(np.uint8))
    seeds = np.unique(labels[(size > 2.0 * difference) & changed])
    mask = np.isin(labels, seeds[seeds > 0]).astype(np.uint8)
    mask = cv2.morphologyEx(_fill_holes(_closed(mask)).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)))
    return _large_parts(mask) > 0


def _disc(size: int) -> np.ndarray:
    """A round kernel of `size` pixels."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _closed(mask: np.ndarray) -> np.ndarray:
    """(h, w) uint8: `mask` with its narrow gaps closed."""
    margin = round(_CLOSING * max(mask.shape))
    return cv2.morphologyEx(np.pad(mask, margin), cv2.MORPH_CLOSE, _disc(margin))[margin:-margin, margin:-margin]


def _fill_holes(mask: np.ndarray) -> np.ndarray:
    """(h, w) bool: `mask` and what it encloses."""
    flooded = np.pad(mask.astype(np.uint8), 1)
    cv2.floodFill(flooded, None, (0, 0), 2)
    return flooded[1:-1, 1:-1] != 2


def _large_parts(mask: np.ndarray) -> np.ndarray:
    """(h, w) uint8: the parts of `mask` that are not small beside the largest."""
    num, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = statistics[1:, cv2.CC_STAT_AREA]
    kept = [i + 1 for i in range(num - 1) if areas[i] >= _MIN_PART * areas.max()]
    return np.isin(labels, kept).astype(np.uint8)
