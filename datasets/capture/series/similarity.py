"""The motion between two series of one object: the similarity that most pairs of points agree on, and its rival."""

from dataclasses import dataclass, replace

import numpy as np

from datasets.capture.series.matching import PointPairs
from datasets.capture.series.object_features import ObjectFeatures
from datasets.geometry.agreement import fit_similarity

TOLERANCE = 0.006  # of the longer side of an image: 5 pixels of 800, as for the poses of one series
_ROUNDS = 4000  # samples of three pairs
_REFITS = 5
_ELSEWHERE = 0.1  # of the object's radius: pairs that a motion leaves farther apart speak for another one


@dataclass(frozen=True)
class SeriesMotion:
    """How the object moved between two series."""

    first_from_second: np.ndarray  # (4, 4) float64 similarity from the frame of the second series to the first's
    inliers: np.ndarray  # (M,) bool, of the pairs of points
    rival: int  # pairs that the best other motion explains, and this one does not

    @property
    def support(self) -> int:
        """The number of pairs that agree on the motion."""
        return int(self.inliers.sum())


def find_motion(first: ObjectFeatures, second: ObjectFeatures, pairs: PointPairs) -> SeriesMotion:
    """The similarity with most support among pairs of points, and how much another one has.

    A pair supports a motion where the features that observe one point are within the tolerance of where the images
    would show the other. Without three pairs there is no support."""
    errors = _CrossErrors(first, second, pairs)
    everything = np.ones(len(pairs.first), bool)
    best, inliers = _ransac(errors, everything)
    apart = np.linalg.norm(moved(errors.points[1], best) - errors.points[0], axis=1)
    _, others = _ransac(errors, apart > _ELSEWHERE * first.radius())
    return SeriesMotion(best, inliers, int(others.sum()))


def invert(motion: SeriesMotion) -> SeriesMotion:
    """The motion from the first series' frame to the second's."""
    return replace(motion, first_from_second=np.linalg.inv(motion.first_from_second))


def moved(points: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """(P, 3) points (P, 3) after a similarity (4, 4)."""
    return points @ similarity[:3, :3].T + similarity[:3, 3]


class _CrossErrors:
    """How far pairs of points are from each other in the images of both series, for any similarity."""

    def __init__(self, first: ObjectFeatures, second: ObjectFeatures, pairs: PointPairs) -> None:
        self.first, self.second = first, second
        self.points = first.points[pairs.first], second.points[pairs.second]
        self._observed = _observations(first, pairs.first), _observations(second, pairs.second)
        # the size of a pixel at each point, in the nearest image that observes it: for quick tests in space
        self._reach = [
            _tolerance_in_space(series, points, *observed)
            for series, points, observed in zip((first, second), self.points, self._observed, strict=True)
        ]

    def near(self, similarity: np.ndarray) -> np.ndarray:
        """(M,) bool: which pairs are near each other in space."""
        scale = np.cbrt(max(np.linalg.det(similarity[:3, :3]), 1e-30))
        distance = np.linalg.norm(moved(self.points[1], similarity) - self.points[0], axis=1)
        return distance < 2.0 * (self._reach[0] + scale * self._reach[1])  # rays of a point meet at acute angles

    def agree(self, similarity: np.ndarray) -> np.ndarray:
        """(M,) bool: which pairs are near each other in the images of both series, in the median image."""
        inverse = np.linalg.inv(similarity)
        others = moved(self.points[1], similarity), moved(self.points[0], inverse)
        good = np.ones(len(self.points[0]), bool)
        for series, points, (pairs, features) in zip((self.first, self.second), others, self._observed, strict=True):
            images = series.image_of[features]
            pixels, depth = series.project(points[pairs], images)
            errors = np.linalg.norm(pixels - series.pixels[features], axis=1) / series.sides[images]
            good &= _median_by(pairs, np.where(depth > 0.0, errors, np.inf), len(good)) < TOLERANCE
        return good


def _observations(series: ObjectFeatures, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (O,), in order, and the features (O,) that observe the point that each pair has in this series."""
    row = np.full(len(series.points), -1)
    row[points] = np.arange(len(points))
    features = np.flatnonzero(series.point_of >= 0)
    pair = row[series.point_of[features]]
    features, pair = features[pair >= 0], pair[pair >= 0]
    order = np.argsort(pair, kind="stable")
    return pair[order], features[order]


def _tolerance_in_space(
    series: ObjectFeatures, points: np.ndarray, pairs: np.ndarray, features: np.ndarray
) -> np.ndarray:
    images = series.image_of[features]
    _, depth = series.project(points[pairs], images)
    reach = np.full(len(points), np.inf)
    np.minimum.at(reach, pairs, np.abs(depth) / series.intrinsics[images, 0] * TOLERANCE * series.sides[images])
    return reach


def _median_by(group: np.ndarray, values: np.ndarray, num: int) -> np.ndarray:
    """(num,) the upper median of the values (O,) of each group (O,); infinite for a group without any."""
    order = np.lexsort((values, group))
    starts = np.searchsorted(group[order], np.arange(num))
    counts = np.bincount(group, minlength=num)
    result = np.full(num, np.inf)
    filled = counts > 0
    result[filled] = values[order][starts[filled] + counts[filled] // 2]
    return result


def _rounds(share: float) -> int:
    """The samples after which one is of true pairs alone, but for one case in a million, if so many pairs are true."""
    return int(np.ceil(np.log(1e-6) / np.log(max(1.0 - share**3, 1e-12)))) if share < 1.0 else 1


def _ransac(errors: _CrossErrors, usable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The similarity (4, 4) that most of the usable pairs (M,) agree on, and which do."""
    candidates = np.flatnonzero(usable)
    none = np.eye(4), np.zeros(len(usable), bool)
    if len(candidates) < 3:
        return none
    random = np.random.default_rng(0)
    best, most, rounds, done = None, 2, _ROUNDS, 0
    while done < rounds:
        done += 1
        sample = random.choice(candidates, 3, replace=False)
        similarity = fit_similarity(errors.points[1][sample], errors.points[0][sample])
        if not np.isfinite(similarity).all():
            continue
        near = errors.near(similarity)
        support = int((near & usable).sum())
        if near[sample].all() and support > most:
            best, most = similarity, support
            rounds = min(_ROUNDS, _rounds(most / len(candidates)))
    if best is None:
        return none
    inliers = errors.near(best) & usable
    for _ in range(_REFITS):
        best = fit_similarity(errors.points[1][inliers], errors.points[0][inliers])
        agreed = errors.agree(best) & usable
        if agreed.sum() < 3:
            return none
        if (agreed == inliers).all():
            break
        inliers = agreed
    return best, inliers
