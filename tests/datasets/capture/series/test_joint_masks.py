"""Masks of several series correct each other where they err and the photographs show an edge."""

import numpy as np
import pytest
from capture_scenes import AXES
from drawn_table import drawn_scene

from datasets.capture.series.joint_masks import JointMasks, overlap


def test_a_part_that_half_of_the_masks_miss_comes_back():
    model, photos, truth = drawn_scene()
    masks = {name: np.where(mask, 255, 0).astype(np.uint8) for name, mask in truth.items()}
    for name in model.names[::2]:
        rows = np.flatnonzero(masks[name].any(axis=1))
        masks[name][rows[-3] :] = 0  # where the object touches the table
    before = np.mean([overlap(masks[name] > 127, truth[name]) for name in model.names])
    together = JointMasks(model, masks, np.zeros(3), 1.3 * AXES.max())
    assert together.hull().mean_agreement > 0.85
    refined = together.refine(photos.__getitem__)
    after = np.mean([overlap(refined[name] > 127, truth[name]) for name in model.names])
    assert after > before + 0.01
    assert after > 0.95
    assert together.hull().mean_agreement > 0.9


@pytest.mark.parametrize("are_known", [True, False])
def test_masks_that_are_known_to_be_doubtful_count_little(are_known):
    model, photos, truth = drawn_scene()
    masks = {name: np.where(mask, 255, 0).astype(np.uint8) for name, mask in truth.items()}
    doubtful = model.names[::2]
    for name in doubtful:
        rows = np.flatnonzero(masks[name].any(axis=1))
        masks[name][rows[len(rows) // 2] :] = 0  # the lower half looks like the table
    together = JointMasks(model, masks, np.zeros(3), 1.3 * AXES.max())
    refined = together.refine(photos.__getitem__, doubtful if are_known else ())
    found = np.mean([overlap(refined[name] > 127, truth[name]) for name in model.names])
    assert (found > 0.9) == are_known


def test_masks_of_different_objects_do_not_agree():
    model, _, truth = drawn_scene()
    masks = {name: np.where(mask, 255, 0).astype(np.uint8) for name, mask in truth.items()}
    masks |= {name: np.roll(masks[name], 25, axis=1) for name in model.names[::2]}
    assert JointMasks(model, masks, np.zeros(3), 1.3 * AXES.max()).hull().mean_agreement < 0.6
