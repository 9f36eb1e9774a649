"""What turns is told from a still backdrop, plain or with a pattern."""

import pytest
from turning_scene import WIDTH as SIDE
from turning_scene import silhouette, turntable_photos

from datasets.capture.setup.backdrop import masks_of_position
from datasets.capture.setup.stillness import log_frame


@pytest.mark.parametrize("texture", [0.0, 0.15])
def test_masks_hold_the_object_and_little_else(texture):
    expected = silhouette()
    for mask in masks_of_position([log_frame(photo, SIDE) for photo in turntable_photos(10, texture=texture)]):
        assert (mask & expected).sum() > 0.97 * expected.sum()
        assert (mask & expected).sum() > 0.8 * (mask | expected).sum()


def test_where_nothing_turns_nothing_is_masked():
    photos = [turntable_photos(1, seed=seed)[0] // 2 + 60 for seed in range(6)]
    assert not any(mask.any() for mask in masks_of_position([log_frame(photo, SIDE) for photo in photos]))
