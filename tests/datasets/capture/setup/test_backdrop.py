"""What turns is told from a still backdrop, plain or with a pattern, and where nothing tells it nothing is sure."""

import cv2
import numpy as np
import pytest
from turning_scene import WIDTH as SIDE
from turning_scene import plate_photos, silhouette, turntable_photos

from datasets.capture.setup.backdrop import masks_of_position
from datasets.capture.setup.record import LIKELY_TURNS, STILL, TURNS, TURNS_OR_SHADED
from datasets.capture.setup.stillness import log_frame


@pytest.mark.parametrize("texture", [0.0, 0.15])
def test_masks_hold_the_object_and_little_else(texture):
    expected = silhouette()
    for mask in masks_of_position([log_frame(photo, SIDE) for photo in turntable_photos(10, texture=texture)]):
        turns = mask >= LIKELY_TURNS
        assert (turns & expected).sum() > 0.97 * expected.sum()
        assert (turns & expected).sum() > 0.8 * (turns | expected).sum()
        assert not ((mask == STILL) & expected).any()
        assert ((mask == STILL) & ~expected).sum() > 0.8 * (~expected).sum()


def test_a_part_of_the_colour_of_the_wall_is_not_taken_for_the_wall():
    photos, silhouettes = plate_photos(contrast=0.04)
    masks = masks_of_position([log_frame(photo, SIDE) for photo in photos])
    for mask, expected in zip(masks, silhouettes, strict=True):
        assert ((mask == STILL) & expected).sum() < 0.03 * expected.sum()
    missed = [(mask < LIKELY_TURNS) & expected for mask, expected in zip(masks, silhouettes, strict=True)]
    assert np.sum(missed) > 0.03 * np.sum(silhouettes)  # so the test is hard


def test_what_only_few_frames_show_of_the_wall_is_known():
    photos, silhouettes = plate_photos(contrast=0.5)
    masks = masks_of_position([log_frame(photo, SIDE) for photo in photos])
    narrow = min(range(len(photos)), key=lambda i: silhouettes[i].sum())
    assert (masks[narrow] == TURNS).sum() < 2.0 * silhouettes[narrow].sum()
    assert ((masks[narrow] == STILL) & silhouettes[0]).sum() > 0.6 * (silhouettes[0] & ~silhouettes[narrow]).sum()


def test_a_soft_shadow_is_told_from_a_thing_with_edges():
    photos, silhouettes = plate_photos(contrast=-0.15)
    shaded = []
    for photo, inside in zip(photos, silhouettes, strict=True):
        shade = cv2.GaussianBlur(np.roll(inside, 45, axis=1).astype(np.float32), None, 12.0)
        light = np.where(inside, 1.0, 1.0 - 0.25 * shade)
        shaded.append((photo * light[..., None]).astype(np.uint8))
    masks = masks_of_position([log_frame(photo, SIDE) for photo in shaded])
    outside = [cv2.dilate(inside.astype(np.uint8), np.ones((9, 9))) == 0 for inside in silhouettes]
    taken = sum(((mask >= TURNS_OR_SHADED) & free).sum() for mask, free in zip(masks, outside, strict=True))
    assert taken > 100 * len(photos)
    assert sum(((mask == TURNS) & free).sum() for mask, free in zip(masks, outside, strict=True)) < 0.2 * taken
    broad = silhouettes[0]
    assert ((masks[0] == TURNS) & broad).sum() > 0.85 * broad.sum()


def test_where_nothing_turns_nothing_is_masked():
    photos = [turntable_photos(1, seed=seed)[0] // 2 + 60 for seed in range(6)]
    assert not any(mask.any() for mask in masks_of_position([log_frame(photo, SIDE) for photo in photos]))
