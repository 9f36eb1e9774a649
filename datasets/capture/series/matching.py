"""Points of the object that look alike in two series: their SIFT descriptors vote for pairs of points."""

from dataclasses import dataclass

import numpy as np

from datasets.capture.series.object_features import ObjectFeatures

_MAX_FEATURES = 30_000  # of a series that are compared; points with many of them give up some
_RATIO = 0.85  # of the distances of the best and the second best point; COLMAP asks for 0.8 of two images, here the
# second best is the best of a whole series, and a motion is fitted afterwards
_MAX_ANGLE = 0.7  # radians between two descriptors, as in COLMAP
_SAME_PLACE = 0.05  # of the object's radius: nearer points are the same thing, triangulated twice
_CANDIDATES = 6  # nearest features that are looked at for a second best point
_ROWS = 1024  # features at a time


@dataclass(frozen=True)
class PointPairs:
    """Points of two series that may be the same."""

    first: np.ndarray  # (M,) int64 indices of points of the first series, each at most once
    second: np.ndarray  # (M,) int64 indices of points of the second, each at most once
    votes: np.ndarray  # (M,) int64 how many features say so, at least one of each series


def match_points(first: ObjectFeatures, second: ObjectFeatures) -> PointPairs:
    """The pairs of points that choose each other, by their features in any of the images."""
    chosen = [_features_of_points(series) for series in (first, second)]
    forward = _votes(first, second, *chosen)
    backward = _votes(second, first, *chosen[::-1])
    width = max(len(second.points), 1)
    counts: dict[int, list[int]] = {}
    for side, (own, other) in enumerate((forward, backward[::-1])):
        for key, count in zip(*np.unique(own * width + other, return_counts=True), strict=True):
            counts.setdefault(int(key), [0, 0])[side] = int(count)
    mutual = [(sum(both), key) for key, both in counts.items() if min(both) > 0]
    taken: tuple[set[int], set[int]] = set(), set()
    kept = []
    for votes, key in sorted(mutual, key=lambda item: (-item[0], item[1])):
        a, b = divmod(key, width)
        if a not in taken[0] and b not in taken[1]:
            taken[0].add(a)
            taken[1].add(b)
            kept.append((a, b, votes))
    pairs = np.array(kept, np.int64).reshape(-1, 3)
    return PointPairs(*pairs.T)


def _features_of_points(series: ObjectFeatures) -> np.ndarray:
    """(f,) indices of features that observe points, at most 30000: as many of each point as fit."""
    observed = np.flatnonzero(series.point_of >= 0)
    if len(observed) <= _MAX_FEATURES:
        return observed
    order = observed[np.lexsort((np.random.default_rng(0).permutation(len(observed)), series.point_of[observed]))]
    starts = np.flatnonzero(np.diff(series.point_of[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return order[np.argsort(rank, kind="stable")[:_MAX_FEATURES]]


def _votes(
    first: ObjectFeatures, second: ObjectFeatures, features: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of points (V,), (V,): of each of the features (f,) of the first series, and of what it looks like.

    A feature votes where the best of the others (g,) is clearly better than the best at another place."""
    if not len(features) or not len(others):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    targets = unit_descriptors(second.descriptors[others])
    points = second.point_of[others]
    near = _SAME_PLACE * second.radius()
    own, chosen = [], []
    for start in range(0, len(features), _ROWS):
        rows = features[start : start + _ROWS]
        similarity = unit_descriptors(first.descriptors[rows]) @ targets.T
        count = min(_CANDIDATES, similarity.shape[1])
        best = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        value = np.take_along_axis(similarity, best, axis=1)
        order = np.argsort(-value, axis=1)
        best, value = np.take_along_axis(best, order, axis=1), np.take_along_axis(value, order, axis=1)
        angle = np.arccos(value.clip(-1.0, 1.0))
        places = second.points[points[best]]
        elsewhere = np.linalg.norm(places - places[:, :1], axis=2) > near
        rival = np.where(elsewhere.any(axis=1), angle[np.arange(len(rows)), elsewhere.argmax(axis=1)], angle[:, -1])
        accepted = (angle[:, 0] < _MAX_ANGLE) & (angle[:, 0] < _RATIO * rival)
        own.append(first.point_of[rows[accepted]])
        chosen.append(points[best[accepted, 0]])
    return np.concatenate(own), np.concatenate(chosen)


def unit_descriptors(descriptors: np.ndarray) -> np.ndarray:
    """(F, 128) float32 of length 1, from SIFT descriptors (F, 128) uint8."""
    values = descriptors.astype(np.float32)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
