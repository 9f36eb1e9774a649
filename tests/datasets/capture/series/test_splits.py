"""Folders and names tell where one series may end and the next begin."""

import shutil
from pathlib import Path

import pytest

from datasets.capture.series.splits import series_folders, split_at, split_by_names
from utils.errors import ConfigError


def numbered(prefix: str, num: int) -> list[str]:
    return [f"{prefix}{number:03d}.jpg" for number in range(num)]


@pytest.mark.parametrize(
    "names",
    [
        numbered("IMG_", 60),
        numbered("", 60),
        [*numbered("a_", 30), *numbered("b_", 5)],  # too few for a series
        [f"2026-11-29 10.{minute:02d}.{second:02d}.jpg" for minute in range(8) for second in range(0, 60, 6)],
        [f"x{number:02d}_{part}.jpg" for number in range(20) for part in ("l", "r")],
        [*numbered("a_", 10), *numbered("b_", 10), *numbered("a_1", 10)],
    ],
    ids=["one prefix", "numbers", "a few others", "times", "pairs", "a prefix twice"],
)
def test_most_names_are_one_series(names):
    assert split_by_names(names) == (tuple(names),)


def test_prefixes_are_series():
    names = [*numbered("standing_", 20), *numbered("x2_", 12)]
    assert split_by_names(names) == (tuple(names[:20]), tuple(names[20:]))


def test_series_are_given_by_what_names_begin_with():
    names = numbered("IMG_", 60)
    assert split_at(names, "IMG_020,IMG_040", Path("x")) == tuple(tuple(names[a : a + 20]) for a in (0, 20, 40))
    for wrong in ("IMG_000", "IMG_040,IMG_020", "b_", "", "IMG_020,"):
        with pytest.raises(ConfigError, match=r"--series: .* x has IMG_000.jpg to IMG_059.jpg"):
            split_at(names, wrong, Path("x"))


def test_folders_of_photos_are_series(tmp_path):
    for name in ("standing/1.jpg", "lying/2.png", "masks/1.png", "notes/read.txt", "lying/.3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert series_folders(tmp_path) == [tmp_path / "lying", tmp_path / "standing"]
    assert series_folders(tmp_path / "lying") == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out/region.png").write_text("")
    assert series_folders(tmp_path, tmp_path / "lying/../out") == [tmp_path / "lying", tmp_path / "standing"]
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "0.jpg").touch()  # photos of its own: it is one folder of photos, as ever
    assert series_folders(tmp_path) == []
