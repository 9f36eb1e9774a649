"""Fits the motion of a turntable to matches, and decides the sense of the turn."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pycolmap
from scipy.optimize import least_squares

from datasets.capture.poses.turntable.motion import Correspondences, Motion
from datasets.capture.poses.turntable.rings import PairMatches, Ring

log = logging.getLogger(__name__)
_FOCALS = (0.5, 0.75, 1.1, 1.6, 2.2, 3.0)  # of the longer side, 90 to 19 degrees: beyond, nothing tells them
_PITCH = (-0.1, 1.5)  # radians; cameras look down at what stands on a disc, which tells a turn from its mirror image
_START_PITCHES = (0.5, 0.9)
_OTHER = 0.6  # radians, the largest roll and turn to the side
_FEW, _MANY = 16, 60  # matches of a pair: for the first fits, and for the last
_LOSS_SCALE = 1.0  # pixels, of the Cauchy loss


def thinned(pairs: Sequence[PairMatches], number: int) -> list[PairMatches]:
    """The pairs with at most `number` matches each, drawn at random, the same each time."""
    random = np.random.default_rng(0)
    return [pair.part(random.permutation(len(pair.features))[:number]) for pair in pairs]


def fit_sense(rings: Sequence[Ring], pairs: Sequence[PairMatches], camera: pycolmap.Camera) -> tuple[Motion, float]:
    """The motion of rings that are not joined yet (each with radius 1, height 0, azimuth 0), from pairs within rings,
    and how much worse the other sense of the turn fits, as a factor of its cost.

    Rings are solved alone, for each of some focal lengths, from several pitches: a fit may take a high camera for a low
    one."""
    few, many = thinned(pairs, _FEW), thinned(pairs, _MANY)
    side = max(camera.width, camera.height)
    found = []
    for sense in (1, -1):
        at_rest = np.tile([1.0, 0.0, 0.0], (len(rings), 1))
        fits = []
        for focal in _FOCALS:
            starts = [np.tile([pitch, 0.0, 0.0], (len(rings), 1)) for pitch in _START_PITCHES]
            starts += [fits[-1][0].tilts] if fits else []
            fits.append(_alone(rings, few, camera, [Motion(focal * side, sense, tilts, at_rest) for tilts in starts]))
        motion, cost = min(fits, key=lambda pair: pair[1])
        log.debug("sense %d: cost %.0f, focal %.0f, pitches %s", sense, cost, motion.focal, motion.tilts[:, 0].round(2))
        found.append((motion, cost))
    (best, cost), (_, other) = sorted(found, key=lambda pair: pair[1])
    return fit(rings, many, camera, best, places=False, focal=False)[0], other / cost


def _alone(
    rings: Sequence[Ring], pairs: Sequence[PairMatches], camera: pycolmap.Camera, starts: Sequence[Motion]
) -> tuple[Motion, float]:
    """The motion of rings that are each solved alone, from the best of some starts with one focal length, which stays,
    and the sum of their costs."""
    tilts, total = [], 0.0
    for number, ring in enumerate(rings):
        own = [replace(pair, a=0, b=0) for pair in pairs if pair.a == number]
        fits = [fit([ring], own, camera, start.part([number]), places=False, focal=False) for start in starts if own]
        motion, cost = min(fits, key=lambda pair: pair[1], default=(starts[0].part([number]), 0.0))
        tilts.append(motion.tilts)
        total += cost
    return replace(starts[0], tilts=np.concatenate(tilts)), total


def fit(
    rings: Sequence[Ring],
    pairs: Sequence[PairMatches],
    camera: pycolmap.Camera,
    start: Motion,
    places: bool,
    focal: bool = True,
) -> tuple[Motion, float]:
    """The motion with the least robust cost of the Sampson distances, and the cost.

    places: whether the rings are joined, so that all but the first have free places. focal: whether it is free too."""
    found = Correspondences(rings, pairs, camera)
    number = len(start.tilts)
    free = np.ones(1 + 6 * number, bool)
    free[0] = focal
    free[1 + 3 * number :] = places
    free[1 + 3 * number : 4 + 3 * number] = False
    side = max(camera.width, camera.height)
    tilt, place = [_PITCH, (-_OTHER, _OTHER), (-_OTHER, _OTHER)], [(0.05, 20.0), (-20.0, 20.0), (-10.0, 10.0)]
    focals = tuple(np.log(np.array([_FOCALS[0], _FOCALS[-1]]) * side))
    low, high = np.array([focals, *tilt * number, *place * number]).T
    vector = start.vector().clip(low + 1e-6, high - 1e-6)

    def residuals(changed: np.ndarray) -> np.ndarray:
        vector[free] = changed
        return found.residuals(start.with_vector(vector.copy()))

    result = least_squares(
        residuals,
        vector[free],
        bounds=(low[free], high[free]),
        loss="cauchy",
        f_scale=_LOSS_SCALE,
        max_nfev=40,
        x_scale="jac",
    )
    vector[free] = result.x
    return start.with_vector(vector.copy()), float(result.cost)


def agreeing(
    rings: Sequence[Ring], pairs: Sequence[PairMatches], motion: Motion, camera: pycolmap.Camera, error: float
) -> list[PairMatches]:
    """The pairs with those matches only that lie within `error` pixels of their epipolar lines."""
    found = Correspondences(rings, pairs, camera)
    kept = np.abs(found.residuals(motion)) < error
    ends = np.cumsum([len(pair.features) for pair in pairs])[:-1]
    parts = zip(pairs, np.split(kept, ends), strict=True)
    return [pair.part(part) for pair, part in parts if part.any()]
