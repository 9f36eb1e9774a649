"""Masks of every encoding: what carries the object, and what is refused because nobody can tell."""

import logging

import numpy as np
import pytest
from PIL import Image, ImageFilter

from datasets.files.mask_levels import mask_levels
from datasets.masks import read_mask
from utils.errors import DataError

Y, X = np.mgrid[:60, :80]
OBJECT = np.hypot(X - 40, Y - 30) < 20


def in_levels(low: int, high: int) -> np.ndarray:
    return np.where(OBJECT, high, low).astype(np.uint8)


def photograph() -> np.ndarray:
    smooth = np.stack([120 + 60 * np.sin(X / 9), 110 + 50 * np.cos(Y / 7), 90 + X], axis=2)
    return (smooth + np.random.default_rng(0).normal(0, 5, (60, 80, 3))).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("levels", [(0, 255), (0, 1), (0, 128), (128, 255), (1, 2), (3, 7), (10, 250)])
def test_the_brighter_of_two_levels_is_the_object(tmp_path, levels, caplog):
    Image.fromarray(in_levels(*levels)).save(tmp_path / "a.png")
    with caplog.at_level(logging.INFO):
        mask = read_mask(tmp_path / "a.png")
        read_mask(tmp_path / "a.png")
    np.testing.assert_array_equal(mask, in_levels(0, 255))
    assert caplog.text.count("masks are read as the brighter of two levels") == 1


@pytest.mark.parametrize("colours", [(0, 0, 0, 128, 0, 0), (0, 0, 0, 1, 1, 1), (68, 1, 84, 253, 231, 37)])
def test_palettes(tmp_path, colours):
    image = Image.fromarray(OBJECT.astype(np.uint8), mode="P")
    image.putpalette(list(colours))
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), in_levels(0, 255))


@pytest.mark.parametrize("colour", ["photograph", "black", "white"])
def test_alpha_carries_the_object_where_it_varies(tmp_path, colour, caplog):
    rgb = {"photograph": photograph(), "black": np.zeros((60, 80, 3), np.uint8)}.get(colour, np.full((60, 80, 3), 255))
    Image.fromarray(np.dstack([rgb, in_levels(0, 255)]).astype(np.uint8)).save(tmp_path / "a.png")
    with caplog.at_level(logging.INFO):
        np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), in_levels(0, 255))
    assert "masks are read by their alpha" in caplog.text


def test_alpha_that_does_not_vary_leaves_it_to_the_levels():
    for alpha in (np.full((60, 80), 255), np.full((60, 80), 0), 254 + (X + Y) % 2):
        image = np.dstack([*3 * [in_levels(0, 255)], alpha]).astype(np.uint8)
        np.testing.assert_array_equal(mask_levels(image).alpha, in_levels(0, 255))


@pytest.mark.parametrize("levels", [(0, 255), (0, 128), (100, 200)])
def test_soft_edges_and_compression_stay_near_two_ends(tmp_path, levels):
    soft = Image.fromarray(in_levels(*levels)).filter(ImageFilter.GaussianBlur(1.5))
    soft.save(tmp_path / "a.png")
    Image.fromarray(in_levels(*levels)).save(tmp_path / "a.jpg", quality=60)
    for name in ("a.png", "a.jpg"):
        mask = read_mask(tmp_path / name)
        assert ((mask > 127) == OBJECT).mean() > 0.99
        assert mask[30, 40] > 245
        assert mask[2, 2] < 10


def test_soft_masks_between_black_and_white_keep_their_values():
    soft = np.array(Image.fromarray(in_levels(0, 255)).filter(ImageFilter.GaussianBlur(1.0)))
    np.testing.assert_array_equal(mask_levels(np.dstack([soft] * 3)).alpha, soft)


def test_noise_of_compression_is_no_mask(tmp_path):
    noise = np.random.default_rng(0).integers(0, 2, (60, 80), dtype=np.uint8)
    assert not mask_levels(np.dstack([noise] * 3), lossy=True).alpha.any()
    assert (mask_levels(np.dstack([254 + noise] * 3), lossy=True).alpha == 255).all()
    assert (mask_levels(np.dstack([254 + noise] * 3)).alpha == 255).all()


REFUSED = {
    "a photograph": photograph(),
    "a cut-out without alpha": np.where(OBJECT[..., None], photograph(), 0),
    "three classes": np.where(OBJECT & (X > 45), 2, OBJECT.astype(int)),
    "a trimap": np.where(np.abs(np.hypot(X - 40, Y - 30) - 20) < 4, 128, in_levels(0, 255)),
    "grey everywhere": np.full((60, 80), 128),
    "equally bright colours": np.where(OBJECT[..., None], [255, 0, 0], [0, 0, 255]),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_may_mean_more_than_one_thing_is_refused(tmp_path, kind):
    image = REFUSED[kind].astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: expected a mask .* got .* Make it black and white or give it alpha"):
        read_mask(tmp_path / "a.png")
