"""What turns is told from a still backdrop, plain or with a pattern."""

import numpy as np
import pytest
from turning_scene import silhouette, turntable_photos

from datasets.capture.setup.backdrop import MASK_SIDE, masks_of_position
from datasets.capture.setup.stillness import log_frame


@pytest.mark.parametrize("texture", [0.0, 0.15])
def test_masks_hold_the_object_and_little_else(texture):
    photos = [np.kron(photo, np.ones((2, 2, 1), np.uint8)) for photo in turntable_photos(12, texture=texture)]
    masks = masks_of_position([log_frame(photo, MASK_SIDE) for photo in photos])
    truth = np.kron(silhouette(), np.ones((2, 2), bool))
    for mask in masks:
        height, width = mask.shape
        rows, columns = (np.arange(n) * m // n for n, m in zip((height, width), truth.shape, strict=True))
        expected = truth[np.ix_(rows, columns)]
        assert (mask & expected).sum() > 0.97 * expected.sum()
        assert (mask & expected).sum() > 0.85 * (mask | expected).sum()


def test_where_nothing_turns_nothing_is_masked():
    photos = [turntable_photos(1, seed=seed)[0] // 2 + 60 for seed in range(6)]
    assert not any(mask.any() for mask in masks_of_position([log_frame(photo, 160) for photo in photos]))
