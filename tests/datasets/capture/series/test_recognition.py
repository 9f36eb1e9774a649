"""An object that was moved is told from more photos of the same scene."""

import pytest
from moved_object import STANDING, lying, write_series

from datasets.capture.series.movement import find_movement
from datasets.capture.series.prepared import PreparedSeries
from datasets.capture.series.recognition import read_recognition, recognise_series, write_recognition

TURNED = STANDING.copy()  # on the same foot, half a turn further
TURNED[:2, :2] *= -1.0


def prepared(root, label: str, *series, **options) -> PreparedSeries:
    written = write_series(root / label, f"{label}_", *series, **options)
    return PreparedSeries(label, written.root, written.root)


@pytest.mark.parametrize(
    ("second", "options", "was_moved", "reason"),
    [
        ((STANDING, 2), {"table": 7}, False, "both stayed"),
        ((lying(), 2), {"table": 7}, True, "the object moved, what is around it did not"),
        ((TURNED, 2), {"table": 7}, True, "the object moved, what is around it did not"),
        ((lying(), 2), {}, True, "stands on another side"),
        ((TURNED, 2), {}, None, "too few to tell"),  # a bare table: one model of both is right as well
        ((STANDING, 2), {"table": 7, "bare": True}, False, "the masks would agree"),
        ((lying(1.0), 2), {"table": 7, "bare": True}, True, "the masks would agree"),
        ((lying(), 2), {"bare": True}, None, "too few to tell"),
    ],
    ids=[
        "still",
        "lying",
        "turned",
        "lying, bare table",
        "turned, bare table",
        "bare, still",
        "bare, lying",
        "bare all",
    ],
)
def test_movement(tmp_path, second, options, was_moved, reason):
    first = prepared(tmp_path, "a", STANDING, 1, table=7)
    movement = find_movement(first, prepared(tmp_path, "b", *second, **options))
    assert movement.was_moved is was_moved, movement.reason
    assert reason in movement.reason


def test_parts_of_one_scene_are_one_series(tmp_path):
    series = [(STANDING, 1), (STANDING, 2), (lying(), 3)]
    parts = [prepared(tmp_path, label, *one, table=7) for label, one in zip("abc", series, strict=True)]
    found = recognise_series(parts, (("1", "2"), ("3",), ("4", "5")))
    assert found.series == (("1", "2", "3"), ("4", "5"))
    write_recognition(found, tmp_path)
    assert read_recognition(tmp_path, ["1", "2", "3", "4", "5"]) == found
    assert read_recognition(tmp_path, ["1", "2", "3", "4"]) is None
    assert read_recognition(tmp_path / "a", ["1"]) is None
