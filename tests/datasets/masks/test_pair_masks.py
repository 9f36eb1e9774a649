"""Masks are paired by name as a file system shows names, by number, or in order; two of one name are refused."""

import unicodedata

import pytest

from datasets.masks import pair_masks
from utils.errors import DataError


def paired(root, images: list[str], masks: list[str]) -> dict[str, str]:
    """The names of the masks by those of the images."""
    for name in (*(f"image/{name}" for name in images), *(f"mask/{name}" for name in masks)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    paths = [root / "image" / name for name in images]
    found = pair_masks(paths, root / "image", root / "mask")
    return {image.relative_to(root / "image").as_posix(): mask.name for image, mask in found.items()}


def test_names_in_another_case_or_unicode_form(tmp_path):
    name = "Müll é"
    forms = unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)
    images = [f"{forms[0]} 1.JPG", "IMG_2.jpg", "a.jpg", "A.jpg", "sub/B.png"]
    masks = [f"{forms[1]} 1.png", "img_2.PNG", "A.png", "a.png", "sub/b.png", "other.png"]
    found = paired(tmp_path, images, masks)
    assert found == dict(zip(images, [f"{forms[1]} 1.png", "img_2.PNG", "a.png", "A.png", "b.png"], strict=True))


def test_two_masks_of_one_name_are_refused_where_an_image_has_that_name(tmp_path):
    assert paired(tmp_path, ["1.jpg", "2.jpg"], ["1.png", "2.png", "notes.png", "notes.jpg"]) == {
        "1.jpg": "1.png",
        "2.jpg": "2.png",
    }
    with pytest.raises(DataError, match=r"2\.\w+: expected one mask for the image, got 2\.\w+ too\. Remove"):
        paired(tmp_path, ["1.jpg", "2.jpg"], ["2.jpg"])
