"""Names of another machine or system lead to the files that they mean, and to no others."""

import unicodedata

import pytest

from datasets.files.names import match_names

FILES = ["images/a 1.png", "images/Ä.png", "images/cam0/1.png", "images/cam1/1.png", "masks/a 1.png"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["images/a 1.png"], ["images/a 1.png"]),
        (["Images\\A 1.PNG", "./images/cam0/1"], ["images/a 1.png", "images/cam0/1.png"]),
        ([unicodedata.normalize("NFD", "images/Ä.png")], ["images/Ä.png"]),
        (["C:\\my scan\\images\\a 1.png", "C:\\my scan\\images\\gone.png"], ["images/a 1.png", None]),
        (["/home/x/images/cam0/1.png", "/home/x/images/cam1/1.png"], ["images/cam0/1.png", "images/cam1/1.png"]),
        (["\\\\server\\scan\\images\\Ä.png"], ["images/Ä.png"]),
        (["/home/x/1.png"], [None]),  # of which camera?
        (["../images/a 1.png", "photos/a 1.png"], [None, None]),  # relative ones mean what they say
        (["images/a 1.png", "IMAGES/A 1.png"], ["images/a 1.png", None]),  # two names are not one file
    ],
)
def test_names(names, expected):
    found = match_names(names, FILES)
    assert [found.get(name) for name in names] == expected


def test_two_names_that_differ_in_case_are_two_files_where_there_are_two():
    assert match_names(["a.png", "A.png"], ["a.png", "A.png"]) == {"a.png": "a.png", "A.png": "A.png"}
    assert match_names(["a.PNG"], ["a.png", "A.png"]) == {}


def test_relative_names_match_by_tails_only_where_none_is_there():
    assert match_names(["images/1.png", "images/2.png"], ["1.png"], by_tail=True) == {"images/1.png": "1.png"}
    assert match_names(["x/1.png", "1.png"], ["1.png", "y/1.png"], by_tail=True) == {"1.png": "1.png"}
