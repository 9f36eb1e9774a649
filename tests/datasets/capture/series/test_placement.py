"""The motion of an object between two series is found from its own points, or refused."""

import numpy as np
import pycolmap
import pytest
from moved_object import STANDING, lying, write_series

from datasets.capture.series import placement
from datasets.capture.series.matching import PointPairs, match_points
from datasets.capture.series.object_features import ObjectFeatures, read_features
from datasets.capture.series.placement import place_series
from datasets.capture.series.similarity import find_motion
from utils.errors import CaptureError


def features(root, label: str, series_from_object: np.ndarray, seed: int, **options: object) -> ObjectFeatures:
    series = write_series(root / label, label, series_from_object, seed, **options)
    return read_features(series.root, pycolmap.Reconstruction(series.root / "sparse" / "0"), label)


def test_the_motion_is_found_whatever_the_units(tmp_path):
    first, second = features(tmp_path, "a", STANDING, 1), features(tmp_path, "b", lying(1.3), 2)
    pairs = match_points(first, second)
    assert len(pairs.first) > 150
    assert len(np.unique(pairs.first)) == len(np.unique(pairs.second)) == len(pairs.first)
    motion = find_motion(first, second, pairs)
    assert motion.support > 0.95 * len(pairs.first)
    assert motion.rival < 5
    np.testing.assert_allclose(motion.first_from_second, STANDING @ np.linalg.inv(lying(1.3)), atol=0.01)


def test_points_of_the_table_are_left_out(tmp_path):
    first = features(tmp_path, "a", STANDING, 1)
    assert (first.points[:, 2] < 0.01).sum() < 5  # the table is z = 0
    assert len(first.points) > 300
    observed = first.point_of >= 0
    pixels, depth = first.project(first.points[first.point_of[observed]], first.image_of[observed])
    assert (depth > 0.0).all()
    assert np.median(np.linalg.norm(pixels - first.pixels[observed], axis=1)) < 0.6


def test_a_series_is_placed_through_another(tmp_path, monkeypatch):
    leaning = STANDING @ np.linalg.inv(lying()) @ STANDING
    series = [features(tmp_path, *item) for item in (("a", STANDING, 1), ("b", lying(), 2), ("c", leaning, 3))]

    def without_first_pair(first: ObjectFeatures, second: ObjectFeatures) -> PointPairs:
        pairs = match_points(first, second)
        few = 5 if (first.label, second.label) == ("a", "b") else len(pairs.first)
        return PointPairs(pairs.first[:few], pairs.second[:few], pairs.votes[:few])

    monkeypatch.setattr(placement, "match_points", without_first_pair)
    placed, report = place_series(series, "OUT")
    np.testing.assert_allclose(placed[1], STANDING @ np.linalg.inv(lying()), atol=0.02)
    assert [item["series"] for item in report] == ["a and b", "a and c", "b and c"]


def test_an_object_without_common_features_is_refused(tmp_path):
    series = [features(tmp_path, "a", STANDING, 1, bare=True), features(tmp_path, "b", lying(), 2, bare=True)]
    with pytest.raises(CaptureError, match=r"OUT: the series a and b cannot be joined: only \d+ pairs .* expected 15"):
        place_series(series, "OUT")


def test_an_object_that_looks_alike_from_two_sides_is_refused(tmp_path):
    series = [features(tmp_path, "a", STANDING, 1), features(tmp_path, "b", lying(), 2, swapped=0.45)]
    with pytest.raises(CaptureError, match=r"moved one way, \d+ that it was .* looks alike from several sides"):
        place_series(series, "OUT")


def test_a_detail_that_is_on_two_sides_does_no_harm(tmp_path):
    series = [features(tmp_path, "a", STANDING, 1), features(tmp_path, "b", lying(), 2, swapped=0.2)]
    placed, report = place_series(series, "OUT")
    np.testing.assert_allclose(placed[1], STANDING @ np.linalg.inv(lying()), atol=0.02)
    assert 0 < report[0]["rival"] < 0.5 * report[0]["support"]
