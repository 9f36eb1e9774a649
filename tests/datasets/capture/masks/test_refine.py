"""Colours move an outline; what the evidence does not tell as background makes no hole."""

import numpy as np
import pytest

from datasets.capture.masks.evidence import BACKGROUND, OTHER
from datasets.capture.masks.refine import refine_mask

WHITE, RED = (225, 225, 215), (180, 30, 25)


@pytest.fixture(name="box")
def _box():
    """A red box before white paper, with a white square in it: image, silhouette, where the square is."""
    image = np.full((120, 160, 3), WHITE, np.uint8)
    silhouette, square = np.zeros((120, 160), bool), np.zeros((120, 160), bool)
    silhouette[20:100, 40:120] = True
    square[26:44, 50:100] = True
    image[silhouette & ~square] = RED
    return image, silhouette, square


def refined(image, silhouette, evidence):
    noise = np.random.default_rng(0).normal(0.0, 3.0, image.shape)
    noisy = np.clip(image + noise, 0, 255).astype(np.uint8)
    return refine_mask(noisy, silhouette, np.zeros_like(silhouette), evidence, 25.0)


def test_white_letters_before_white_paper_make_no_hole(box):
    image, silhouette, square = box
    evidence = np.where(silhouette, OTHER, BACKGROUND).astype(np.int8)
    mask = refined(image, silhouette, evidence)
    assert mask[square].all()
    assert (mask & silhouette).sum() / (mask | silhouette).sum() > 0.97


def test_a_hole_that_shows_what_is_behind_stays(box):
    image, silhouette, square = box
    evidence = np.where(silhouette & ~square, OTHER, BACKGROUND).astype(np.int8)
    mask = refined(image, silhouette, evidence)
    assert not mask[square].any()
    assert (mask & silhouette & ~square).sum() / (silhouette & ~square).sum() > 0.97
