"""Where one folder may hold several series: in its folders, or one after the other in the order of the names."""

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from utils.errors import ConfigError
from utils.files import natural_key
from utils.images import SUFFIXES

MIN_PHOTOS = 8  # of a series: with fewer, neighbours are more than 45 degrees apart and share no features
_MAX_SERIES = 6  # more groups of names are dates or times, not series

Series = tuple[tuple[str, ...], ...]  # the names of the photos of each series, in order


def series_folders(source: Path, out: Path | None = None) -> list[Path]:
    """The folders of photos within a folder that has no photos itself, if there are two or more; masks are not photos,
    nor is what was made of them in `out`."""
    if not source.is_dir() or _holds_photos(source):
        return []
    folders = [path for path in source.iterdir() if path.is_dir() and "mask" not in path.name.lower()]
    folders = [path for path in folders if out is None or path.resolve() != out.resolve()]
    folders = sorted(filter(_holds_photos, folders), key=lambda path: natural_key(path.name))
    return folders if len(folders) > 1 else []


def _holds_photos(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES and not path.name.startswith(".") for path in folder.iterdir())


def split_by_names(names: Sequence[str]) -> Series:
    """The groups of names, in natural order, that differ in what precedes their last number, such as a_ and b_; one
    group where this tells no series of 8 photos or more each."""
    groups = [tuple(group) for _, group in groupby(names, key=_stem)]
    distinct = len({_stem(group[0]) for group in groups}) == len(groups)
    told = 1 < len(groups) <= _MAX_SERIES and distinct and min(map(len, groups)) >= MIN_PHOTOS
    return tuple(groups) if told else (tuple(names),)


def _stem(name: str) -> str:
    """What precedes the last number of a name."""
    found = re.match(r"(.*?)\d*\D*$", Path(name).stem, re.DOTALL)
    return found[1] if found else name


def split_at(names: Sequence[str], firsts: str, source: Path) -> Series:
    """The series of names, in natural order, of which all but the first begin with the first name that starts with one
    of the texts in `firsts`, separated by commas. Raises ConfigError."""
    cuts = [0]
    for text in firsts.split(","):
        place = next((place for place, name in enumerate(names) if text and name.startswith(text)), 0)
        if place <= cuts[-1]:
            raise ConfigError(
                f"--series: expected auto, one, or what the names of the first photos of the later series begin with, "
                f"in order and separated by commas, got '{text}': {source} has {names[0]} to {names[-1]}. "
                f"For example --series {names[len(names) // 2]}."
            )
        cuts.append(place)
    return tuple(tuple(names[a:b]) for a, b in zip(cuts, [*cuts[1:], len(names)], strict=True))
