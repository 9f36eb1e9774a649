"""The band around the outline of masks, against distances by brute force."""

import numpy as np
import pytest

from datasets.masks import check_band, outline_band
from datasets.scene import Scene
from utils.errors import DataError

SIZES = np.array([[9, 7], [5, 6], [4, 4]])


def make_scene(masks: list[np.ndarray]) -> Scene:
    """Black images of different sizes with the given masks (H, W) bool."""
    alpha = np.concatenate([mask.ravel() for mask in masks])
    pixels = np.zeros((alpha.size, 4), dtype=np.uint8)
    pixels[:, 3] = np.where(alpha, 128, 127)
    c2w, intrinsics = np.zeros((3, 3, 4), dtype=np.float32), np.ones((3, 4), dtype=np.float32)
    return Scene("masked", pixels, SIZES, c2w, intrinsics, ("a", "b", "c"))


def brute(mask: np.ndarray, width: int) -> np.ndarray:
    """(H W,) bool: whether a pixel of the other kind lies within `width`."""
    places = np.argwhere(np.ones_like(mask))
    away = np.linalg.norm(places[:, None] - places[None], axis=-1)
    return ((mask.ravel()[:, None] != mask.ravel()) & (away <= width)).any(axis=1)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_band_reaches_as_many_pixels_to_both_sides(width: int) -> None:
    rng = np.random.default_rng(1)
    masks = [rng.random((height, w)) < 0.2 for w, height in SIZES]
    expected = np.concatenate([brute(mask, width) for mask in masks])
    assert expected.sum() > 0
    np.testing.assert_array_equal(outline_band(make_scene(masks), width), expected)


def test_what_has_no_outline_has_no_band() -> None:
    masks = [np.full((height, width), index % 2 == 0) for index, (width, height) in enumerate(SIZES)]
    assert not outline_band(make_scene(masks), 50).any()


def test_a_half_plane_has_a_band_of_twice_the_width() -> None:
    masks = [np.broadcast_to(np.arange(w) >= 2, (height, w)) for w, height in SIZES]
    band = outline_band(make_scene(masks), 2)[: 9 * 7].reshape(7, 9)
    assert (band == (np.arange(9) < 4)).all()


def test_without_masks_a_band_is_refused() -> None:
    scene = make_scene([np.ones((height, width), dtype=bool) for width, height in SIZES])
    bare = Scene("bare", scene.pixels[:, :3], SIZES, scene.c2w, scene.intrinsics, scene.image_names)
    check_band(scene, 3)
    check_band(bare, 0)
    with pytest.raises(DataError, match=r"dataset\.mask_band=3: expected images with masks"):
        check_band(bare, 3)
