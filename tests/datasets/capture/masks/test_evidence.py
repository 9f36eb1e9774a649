"""What a photograph says about the object: another structure than the plane's and a grey mask say nothing."""

import cv2
import numpy as np
import pytest
from capture_scenes import look_at

from datasets.capture.masks.evidence import (
    BACKGROUND,
    OBJECT,
    OTHER,
    UNKNOWN,
    mask_evidence,
    plane_evidence,
    told_share,
)
from datasets.capture.masks.plane_picture import PlanePicture
from datasets.capture.setup.record import SEEMS_STILL, SEEMS_TO_TURN, STILL, TURNS, TURNS_OR_SHADED
from datasets.capture.sparse_model import SparseModel

SIDE = 160


def print_like(seed: int, contrast: float) -> np.ndarray:
    """(S, S, 3) float32 log colours of print on paper, out of focus."""
    noise = np.random.default_rng(seed).normal(0.0, 1.0, (SIDE, SIDE)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.dstack([5.0 + contrast * blurred / blurred.std()] * 3).astype(np.float32)


def scene(texture: np.ndarray) -> tuple[PlanePicture, SparseModel]:
    """A plane with a texture, and a camera above it that sees one sample in each pixel."""
    step = 2.0 / SIDE
    to_world = np.array([[step, 0.0, -1.0], [0.0, step, -1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    known = np.ones((SIDE, SIDE), bool)
    picture = PlanePicture(to_world, texture, np.full((SIDE, SIDE), 0.05, np.float32), known, ~known, np.zeros((1, 3)))
    c2w = look_at(np.array([0.0, 0.0, 2.0]), np.zeros(3), np.array([0.0, 1.0, 0.0]))
    intrinsics = np.array([[SIDE, SIDE, SIDE / 2, SIDE / 2]], np.float64)
    none = np.zeros((0, 3))
    return picture, SparseModel(none, none.astype(np.uint8), np.zeros(0, int), ("0",), c2w[None], intrinsics,
                                np.array([[SIDE, SIDE]]))  # fmt: skip


@pytest.mark.parametrize("label", ["printed", "blank"])
def test_a_label_before_a_newspaper_is_not_taken_for_it(label):
    picture, model = scene(print_like(0, 0.08))
    view = picture.seen_from(model, 0)[0].copy()
    noise = np.random.default_rng(2).normal(0.0, 0.01, view.shape).astype(np.float32)
    square = (slice(50, 110), slice(50, 110))
    view[square] = print_like(1, 0.08)[square] if label == "printed" else 5.0
    evidence = plane_evidence(picture, model, 0, view + noise)
    assert (evidence[square][12:-12, 12:-12] == UNKNOWN).mean() > 0.9
    outside = np.ones((SIDE, SIDE), bool)
    outside[30:130, 30:130] = False
    assert (evidence[outside] == BACKGROUND).mean() > 0.97


def test_a_view_that_is_sharper_than_the_picture_shows_the_plane():
    patches = cv2.GaussianBlur(print_like(1, 1.0) - 5.0, (0, 0), 10.0)
    fine = print_like(0, 0.1) + 0.2 * patches / patches.std()
    sharp, model = scene(fine)
    num = SIDE // 8
    half_off = np.array([[8.0, 0.0, 7.5], [0.0, 8.0, 3.5], [0.0, 0.0, 1.0]])  # poses err by half a sample
    small = cv2.resize(fine, (num, num), interpolation=cv2.INTER_AREA)
    spread, known = np.full((num, num), 0.1, np.float32), np.ones((num, num), bool)
    coarse = PlanePicture(sharp.to_world @ half_off, small, spread, known, ~known, np.zeros((1, 3)))
    assert coarse.sample_pixels(model, 0) == pytest.approx(8.0, rel=0.01)
    evidence = plane_evidence(coarse, model, 0, sharp.seen_from(model, 0)[0])
    assert (evidence[24:-24, 24:-24] == BACKGROUND).mean() > 0.97


def test_a_plain_plane_is_background_by_its_colour():
    picture, model = scene(print_like(0, 0.0))
    noise = np.random.default_rng(2).normal(0.0, 0.01, (SIDE, SIDE, 3)).astype(np.float32)
    evidence = plane_evidence(picture, model, 0, picture.seen_from(model, 0)[0] + noise)
    assert (evidence[20:-20, 20:-20] == BACKGROUND).all()


def test_a_grey_mask_says_nothing():
    levels = np.array([[STILL, SEEMS_STILL, SEEMS_TO_TURN, TURNS_OR_SHADED, TURNS]], np.uint8)
    assert mask_evidence(levels).tolist() == [[BACKGROUND, UNKNOWN, UNKNOWN, OTHER, OBJECT]]


def test_an_outline_is_told_where_both_sides_are():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 10:50] = True
    evidence = np.where(mask, OBJECT, BACKGROUND).astype(np.int8)
    assert told_share(mask, evidence, 3.0) == 1.0
    evidence[:, :30] = UNKNOWN
    assert 0.4 < told_share(mask, evidence, 1.0) < 0.6
    assert told_share(mask, np.where(mask, UNKNOWN, BACKGROUND).astype(np.int8), 3.0) == 0.0
    assert told_share(np.zeros_like(mask), evidence, 3.0) == 0.0
