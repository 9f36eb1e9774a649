"""Tells what turns from the still backdrop, in the frames of one position of the camera."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from datasets.capture.setup.record import SEEMS_STILL, SEEMS_TO_TURN, STILL, TURNS, TURNS_OR_SHADED

MASK_SIDE = 400  # pixels, of the frames that masks are made from
_MIN_DIFFERENCE = 0.05  # of the logarithm of a colour; twice as much is clearly not the backdrop
_WEAK, _WEAK_DARKER = 0.6, 1.2  # of the difference: beside what is clear these count too, the second where it is darker
_NOISE = 2.0  # times the noise of a pixel: the least difference, for very noisy frames
_OWN_TOLERANCE, _MAX_OWN_TOLERANCE = 0.02, 0.1  # of the fill: a frame that is nearer shows the backdrop
_REACH, _MIN_SHOWN, _END = 9, 2, 0.002  # pixels a round, both ways; frames; of what is known: less new ends it
_QUIET, _MIN_QUIET = 4.0, 0.01  # times the noise of the backdrop; of the logarithm: less is the backdrop itself
_QUIET_BLUR, _NARROW = 1.5, 5  # pixels: against noise; what is quiet is at least so wide
_SHADOW_TINT, _DARKEST = 0.25, -1.2  # of its darkness, by light from elsewhere; of the logarithm, a third of the light
_SOFT = 0.01  # of the logarithm a pixel: shadows of things at some distance rise less steeply
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
    masks = []
    for excess, still in zip(excesses, _still_parts(excesses, changed), strict=True):
        turns, shadow = _mask(excess, changed, difference), _may_be_shadow(excess, still, difference)
        masks.append(_grey(turns, still, _halo(excess), shadow))
    return masks


def _grey(turns: np.ndarray, still: np.ndarray, halo: np.ndarray, shadow: np.ndarray) -> np.ndarray:
    """(h, w) uint8 levels, from what is taken to turn, what surely is still, what edges may blur, and what may be a
    shadow, (h, w) bool."""
    rim = cv2.erode(turns.astype(np.uint8), _disc(2 * _HALO + 1)) == 0
    turning = np.where(still | (rim & halo), SEEMS_TO_TURN, np.where(shadow, TURNS_OR_SHADED, TURNS))
    return np.where(turns, turning, np.where(still, STILL, SEEMS_STILL)).astype(np.uint8)


def _may_be_shadow(excess: np.ndarray, still: np.ndarray, difference: float) -> np.ndarray:
    """(h, w) bool: where a frame's logarithms (h, w, 3) less the backdrop's are darker, of about the same hue, and rise
    softly from what surely is still (h, w) bool: things have sharp edges."""
    smooth = cv2.GaussianBlur(excess, None, _QUIET_BLUR)
    brightness = smooth.mean(axis=2)
    tint = _largest(smooth - brightness[..., None])
    dark = (brightness < difference) & (tint < difference + _SHADOW_TINT * np.abs(brightness)) & (brightness > _DARKEST)
    slope = np.hypot(cv2.Sobel(brightness, -1, 1, 0, scale=1 / 8), cv2.Sobel(brightness, -1, 0, 1, scale=1 / 8))
    noise = 1.4826 * float(np.median(slope[still])) if still.any() else 0.0
    soft = (dark & (slope < max(_QUIET * noise, _SOFT))) | still
    _, labels = cv2.connectedComponents(
        cv2.morphologyEx(soft.astype(np.uint8), cv2.MORPH_OPEN, _disc(3)), connectivity=4
    )
    outside = np.unique(labels[still])
    return np.isin(labels, outside[outside > 0])


def _halo(excess: np.ndarray) -> np.ndarray:
    """(h, w) bool: where a frame's logarithms (h, w, 3) differ from the backdrop less than half as much as close by."""
    size = _largest(cv2.GaussianBlur(excess, None, 1.0))
    return size < 0.5 * cv2.dilate(size, _disc(2 * _HALO + 1))


def _still_parts(excesses: np.ndarray, changed: np.ndarray) -> Iterator[np.ndarray]:
    """(h, w) bool of each frame: where it surely shows the backdrop, from its logarithms less the backdrop's (h, w, 3).

    A white thing before a white wall differs from it little, but by more than noise: between what differs clearly and
    what does not differ at all nothing is sure."""
    smooth = [cv2.GaussianBlur(excess, None, _QUIET_BLUR) for excess in excesses]
    noise = 1.4826 * float(np.median([np.median(np.abs(excess[~changed])) for excess in smooth]))
    for excess in smooth:
        quiet = (_largest(excess) < max(_QUIET * noise, _MIN_QUIET)) | ~changed
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
    count = sum((_largest(cv2.blur(log - median, (3, 3))) > difference).astype(np.int32) for log in logs)
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
            near[_largest(log - fill) > tolerance] = 0
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
    hue = _largest(smooth - brightness[..., None])
    size = _largest(smooth)
    weak = _WEAK * difference
    likely = (size > weak) & ((hue > 0.5 * weak) | (brightness > 0.0)) | (size > _WEAK_DARKER * difference)
    _, labels = cv2.connectedComponents((likely & changed).astype(np.uint8))
    seeds = np.unique(labels[(size > 2.0 * difference) & changed])
    mask = np.isin(labels, seeds[seeds > 0]).astype(np.uint8)
    mask = cv2.morphologyEx(_fill_holes(_closed(mask)).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)))
    return _large_parts(mask) > 0


def _largest(values: np.ndarray) -> np.ndarray:
    """(h, w) the largest size of three channels (h, w, 3): several times as fast as a maximum over the last axis."""
    sizes = np.abs(values)
    return np.maximum(np.maximum(sizes[..., 0], sizes[..., 1]), sizes[..., 2])


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
