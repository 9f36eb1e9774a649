"""Fits the motion of a turntable to matches, and decides the sense of the turn."""

import logging
from collections.abc import Sequence

import numpy as np
import pycolmap
from scipy.optimize import least_squares

from datasets.capture.poses.turntable.motion import Correspondences, Motion
from datasets.capture.poses.turntable.rings import PairMatches, Ring

log = logging.getLogger(__name__)
_FOCALS = (0.5, 3.0)  # of the longer side: 90 to 19 degrees; beyond, the perspective no longer tells
_START_FOCALS = (0.9, 1.6)
_PITCH = (-0.3, 1.5)  # radians; cameras look down at what stands on a disc, which tells a turn from its mirror image
_START_PITCH = 0.5
_OTHER = 0.6  # radians, the largest roll and turn to the side
_FEW, _MANY = 8, 60  # matches of a pair: for the first fits, and for the last
_LOSS_SCALE = 1.0  # pixels, of the Cauchy loss


def thinned(pairs: Sequence[PairMatches], number: int) -> list[PairMatches]:
    """The pairs with at most `number` matches each, drawn at random, the same each time."""
    random = np.random.default_rng(0)
    return [pair.part(random.permutation(len(pair.features))[:number]) for pair in pairs]


def fit_sense(rings: Sequence[Ring], pairs: Sequence[PairMatches], camera: pycolmap.Camera) -> tuple[Motion, float]:
    """The motion of rings that are not joined yet (each with radius 1, height 0, azimuth 0), from pairs within rings,
    and how much worse the other sense of the turn fits, as a factor of its cost."""
    few = thinned(pairs, _FEW)
    side = max(camera.width, camera.height)
    found = []
    for sense in (1, -1):
        starts = [_unjoined(len(rings), start * side, sense) for start in _START_FOCALS]
        found.append(min((fit(rings, few, camera, start, places=False) for start in starts), key=lambda pair: pair[1]))
        log.debug(
            "sense %d: cost %.0f, focal %.0f, tilts %s",
            sense,
            found[-1][1],
            found[-1][0].focal,
            np.degrees(found[-1][0].tilts).round(1).tolist(),
        )
    (best, cost), (_, other) = sorted(found, key=lambda pair: pair[1])
    many = thinned(pairs, _MANY)
    return fit(rings, many, camera, best, places=False)[0], other / cost


def _unjoined(number: int, focal: float, sense: int) -> Motion:
    tilts, places = np.zeros((number, 3)), np.zeros((number, 3))
    tilts[:, 0] = _START_PITCH
    places[:, 0] = 1.0
    return Motion(focal, sense, tilts, places)


def fit(
    rings: Sequence[Ring], pairs: Sequence[PairMatches], camera: pycolmap.Camera, start: Motion, places: bool
) -> tuple[Motion, float]:
    """The motion with the least robust cost of the Sampson distances, and the cost.

    places: whether the rings are joined, so that all but the first have free places."""
    found = Correspondences(rings, pairs, camera)
    number = len(start.tilts)
    free = np.ones(1 + 6 * number, bool)
    free[1 + 3 * number :] = places
    free[1 + 3 * number : 4 + 3 * number] = False
    side = max(camera.width, camera.height)
    tilt, place = [_PITCH, (-_OTHER, _OTHER), (-_OTHER, _OTHER)], [(0.05, 20.0), (-20.0, 20.0), (-10.0, 10.0)]
    focal = tuple(np.log(np.array(_FOCALS) * side))
    low, high = np.array([focal, *tilt * number, *place * number]).T
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
