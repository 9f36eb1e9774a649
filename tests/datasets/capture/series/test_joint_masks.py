"""Masks of several series correct each other where they err and the photographs show an edge."""

import numpy as np
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


def test_masks_of_different_objects_do_not_agree():
    model, _, truth = drawn_scene()
    masks = {name: np.where(mask, 255, 0).astype(np.uint8) for name, mask in truth.items()}
    masks |= {name: np.roll(masks[name], 25, axis=1) for name in model.names[::2]}
    assert JointMasks(model, masks, np.zeros(3), 1.3 * AXES.max()).hull().mean_agreement < 0.6
