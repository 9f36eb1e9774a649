"""The time that a capture takes is told beforehand, near to what was measured."""

import pytest

from datasets.capture.expected_time import expected_seconds, time_in_words

SIZE = (800, 600)


@pytest.mark.parametrize(
    ("num", "is_video", "cores", "low", "high"),
    [(60, False, 1, 300, 450), (60, False, 8, 70, 130), (120, True, 1, 350, 550)],
    ids=["photos, one core", "photos, eight cores", "a video, one core"],
)
def test_it_is_near_what_was_measured(num, is_video, cores, low, high):
    assert low < expected_seconds([SIZE] * num, is_video, cores) < high


def test_more_and_larger_images_take_longer_and_more_cores_less():
    usual = expected_seconds([SIZE] * 60, False, 2)
    assert expected_seconds([SIZE] * 70, False, 2) > usual
    assert expected_seconds([(1600, 1200)] * 60, False, 2) > usual
    assert expected_seconds([SIZE] * 60, False, 4) < usual
    assert expected_seconds([SIZE] * 200, False, 2) < 20.0 * usual  # not all pairs are matched


@pytest.mark.parametrize(
    ("seconds", "said"), [(1.0, "about 10 seconds"), (42.0, "about 40 seconds"), (91.0, "about 2 minutes")]
)
def test_it_is_rounded(seconds, said):
    assert time_in_words(seconds) == said
