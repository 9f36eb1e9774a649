"""Photos in frames/ have names of their own, on every file system."""

import unicodedata

import pytest

from datasets.capture.frames.names import frame_names, same_name


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["IMG 1.jpg", "IMG_1.jpg"], ["IMG_1_2.jpg", "IMG_1.jpg"]),
        (["IMG  1.jpg", "IMG 1.jpg", "IMG_1.jpg", "IMG_1_2.jpg"], [f"IMG_1{n}.jpg" for n in ("_3", "_4", "", "_2")]),
        (["a.png", "a.jpg", "a_png.jpg"], ["a_png_2.jpg", "a_jpg.jpg", "a_png.jpg"]),
        (["IMG_1.jpg", "img_1.jpg"], ["IMG_1_jpg.jpg", "img_1_jpg_2.jpg"]),
        (["a.JPG", "a.jpg"], ["a_JPG.jpg", "a_jpg_2.jpg"]),
        (["#1.jpg", "_1.jpg"], ["_1_2.jpg", "_1.jpg"]),
        (["\udcff.jpg", " .jpg"], ["__2.jpg", "_.jpg"]),
        (["1.jpg", "2.jpeg"], ["1.jpg", "2.jpg"]),
    ],
)
def test_names_are_unique_and_kept_where_they_can_be(names, found):
    assert sorted(frame_names(names)) == sorted(found)


def test_accents_coded_in_two_ways_are_one_name():
    names = [unicodedata.normalize(form, "tète.jpg") for form in ("NFC", "NFD")]
    found = frame_names(names)
    assert len({same_name(name) for name in found}) == 2


def test_any_names_stay_apart():
    parts = ["a", "A", "a b", "a_b", "a\tb", "#a", "_a", "a_2", "a_jpg", "é"]
    names = [part + suffix for part in parts for suffix in (".jpg", ".JPG", ".png", ".jpeg")]
    found = frame_names(names)
    assert len({same_name(name) for name in found}) == len(names)
    assert not any(set(name) & set(" \t#") for name in found)
