"""Features of one series at the points of another, looked for where the joint model shows these points."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pycolmap
from scipy.spatial import cKDTree

from datasets.capture.series.matching import unit_descriptors
from datasets.capture.series.object_features import ObjectFeatures

_MAX_VIEW_ANGLE = 50.0  # degrees between the rays of a feature and of the nearest one of its point: SIFT's limit
_MAX_ANGLE = 0.7  # radians between the feature and the mean descriptor of the point, as in COLMAP
_RATIO = 0.9  # of the angles of the best and the second best feature nearby: few are compared
_CANDIDATES = 5  # nearest features of an image that are compared


@dataclass(frozen=True)
class Links:
    """Points of one series and features of another that show them."""

    point_ids: np.ndarray  # (L,) int64 ids in the joint model
    features: np.ndarray  # (L,) int64 indices of features of the other series
    angles: np.ndarray  # (L,) float64 radians between the descriptors


def share_points(joint: pycolmap.Reconstruction, series: Sequence[ObjectFeatures], reach: float) -> None:
    """Merges the points of several series that are the same, and adds features of one to points of another.

    reach: how far a feature may be from where the point is seen, as a share of the longer side of the image."""
    merges = _Merges(joint)
    for own, other in permutations(series, 2):
        links = find_links(own, other, reach)
        _merge(merges, own, other, links, reach)
        for point_id, feature in zip(links.point_ids.tolist(), links.features.tolist(), strict=True):
            merges.observe(point_id, int(other.image_ids[other.image_of[feature]]), int(other.number[feature]))


def shared_places(joint: pycolmap.Reconstruction, series: Sequence[ObjectFeatures]) -> np.ndarray:
    """(S, 3) the points of a joint model that more than one series observes."""
    series_of = {image_id: number for number, own in enumerate(series) for image_id in own.image_ids.tolist()}
    shared = [
        point.xyz
        for point in joint.points3D.values()
        if len({series_of[element.image_id] for element in point.track.elements}) > 1
    ]
    return np.array(shared, np.float64).reshape(-1, 3)


def find_links(own: ObjectFeatures, other: ObjectFeatures, reach: float) -> Links:
    """The feature of each image of the other series that shows a point of this one, if one clearly does."""
    descriptors, directions = _mean_descriptors(own), _view_directions(own)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    candidates = unit_descriptors(other.descriptors)
    for view in range(len(other.image_ids)):
        features = np.flatnonzero(other.image_of == view)
        if not len(features):
            continue
        visible = np.flatnonzero(_may_show(own, other.c2w[view], directions))
        pixels, depth = other.project(own.points[visible], np.full(len(visible), view))
        visible, pixels = visible[depth > 0.0], pixels[depth > 0.0]
        distance, nearest = cKDTree(other.pixels[features]).query(
            pixels, k=_CANDIDATES, distance_upper_bound=reach * other.sides[view]
        )
        near = np.isfinite(distance)
        chosen = features[np.where(near, nearest, 0)]
        cosine = np.einsum("pd,pkd->pk", descriptors[visible], candidates[chosen])
        angle = np.where(near, np.arccos(cosine.clip(-1.0, 1.0)), np.inf)
        order = np.argsort(angle, axis=1)
        best, second = np.take_along_axis(angle, order[:, :2], axis=1).T
        good = (best < _MAX_ANGLE) & (best < _RATIO * second)
        found.append((visible[good], chosen[good, order[good, 0]], best[good]))
    rows, features, angles = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((angles, features))  # a feature shows one point: the one that it looks most like
    order = order[np.unique(features[order], return_index=True)[1]]
    return Links(own.point_ids[rows[order]], features[order], angles[order])


def _mean_descriptors(series: ObjectFeatures) -> np.ndarray:
    """(K, 128) float32 unit length: the mean of the descriptors of each point's features."""
    observed = series.point_of >= 0
    sums = np.zeros((len(series.points), 128), np.float32)
    np.add.at(sums, series.point_of[observed], unit_descriptors(series.descriptors[observed]))
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)


def _view_directions(series: ObjectFeatures) -> tuple[np.ndarray, np.ndarray]:
    """The point (O,) of each observation, and the unit direction (O, 3) from it to the camera."""
    features = np.flatnonzero(series.point_of >= 0)
    points = series.point_of[features]
    towards = series.c2w[series.image_of[features], :, 3] - series.points[points]
    return points, towards / np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)


def _may_show(own: ObjectFeatures, c2w: np.ndarray, directions: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(K,) bool: which points a camera (3, 4) sees from a side that an image of their own series saw them from."""
    points, towards = directions
    offset = c2w[:, 3] - own.points
    offset /= np.maximum(np.linalg.norm(offset, axis=1, keepdims=True), 1e-12)
    nearest = np.full(len(own.points), -1.0)
    np.maximum.at(nearest, points, (towards * offset[points]).sum(axis=1))
    return nearest > np.cos(np.radians(_MAX_VIEW_ANGLE))


class _Merges:
    """A joint model whose points merge, under the ids that they had before."""

    def __init__(self, joint: pycolmap.Reconstruction) -> None:
        self._joint = joint
        self._new: dict[int, int] = {}

    def current(self, point_id: int) -> int:
        while point_id in self._new:
            point_id = self._new[point_id]
        return point_id

    def _images(self, point_id: int) -> set[int]:
        return {element.image_id for element in self._joint.points3D[point_id].track.elements}

    def merge(self, one: int, other: int) -> None:
        """Makes one point of two, unless an image sees both."""
        one, other = self.current(one), self.current(other)
        if one != other and not self._images(one) & self._images(other):
            merged = self._joint.merge_points3D(one, other)
            self._new |= {one: merged, other: merged}

    def observe(self, point_id: int, image_id: int, number: int) -> None:
        """Adds a feature to a point, unless it has a point or its image sees this one already."""
        point_id = self.current(point_id)
        if self._joint.images[image_id].points2D[number].has_point3D() or image_id in self._images(point_id):
            return
        self._joint.add_observation(point_id, pycolmap.TrackElement(image_id, number))


def _merge(merges: _Merges, own: ObjectFeatures, other: ObjectFeatures, links: Links, reach: float) -> None:
    """Merges points whose features were found at each other, those with most features first."""
    with_point = other.point_of[links.features] >= 0
    pairs = np.stack([links.point_ids[with_point], other.point_ids[other.point_of[links.features[with_point]]]], axis=1)
    if not len(pairs):
        return
    unique, votes = np.unique(pairs, axis=0, return_counts=True)
    places = dict(zip(own.point_ids.tolist(), own.points, strict=True))
    others = dict(zip(other.point_ids.tolist(), other.points, strict=True))
    depth = np.median(np.linalg.norm(own.c2w[:, :, 3] - np.median(own.points, axis=0), axis=1))
    limit = 2.0 * reach * float(np.median(own.sides / own.intrinsics[:, 0]) * depth)
    for a, b in unique[np.argsort(-votes, kind="stable")].tolist():
        if np.linalg.norm(places[a] - others[b]) < limit:
            merges.merge(a, b)
