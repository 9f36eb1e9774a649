"""What a photograph says about the object, and how much of an outline it tells."""

import numpy as np

from datasets.capture.masks.evidence import BACKGROUND, OBJECT, UNKNOWN, mask_evidence, told_share
from datasets.capture.setup.record import SEEMS_STILL, SEEMS_TO_TURN, STILL, TURNS


def test_a_grey_mask_says_nothing():
    levels = np.array([[STILL, SEEMS_STILL, SEEMS_TO_TURN, TURNS, 128]], np.uint8)
    assert mask_evidence(levels).tolist() == [[BACKGROUND, UNKNOWN, UNKNOWN, OBJECT, UNKNOWN]]


def test_an_outline_is_told_where_both_sides_are():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 10:50] = True
    evidence = np.where(mask, OBJECT, BACKGROUND).astype(np.int8)
    assert told_share(mask, evidence, 3.0) == 1.0
    evidence[:, :30] = UNKNOWN
    assert 0.4 < told_share(mask, evidence, 1.0) < 0.6
    assert told_share(mask, np.where(mask, UNKNOWN, BACKGROUND).astype(np.int8), 3.0) == 0.0
    assert told_share(np.zeros_like(mask), evidence, 3.0) == 0.0
