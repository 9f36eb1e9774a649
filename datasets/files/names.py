"""Finds files by names that were written down elsewhere: on another machine or system, or in another Unicode form."""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from utils.images import SUFFIXES

_OTHER_IMAGES = ("mask", "depth", "normal", "semantic", "segment")  # how folders begin that hold no photographs


def comparable(name: str) -> tuple[str, ...]:
    """The parts of a path as two names are compared: `/` or `\\`, composed Unicode (NFC), without case, `.`
    and spaces around them."""
    parts = unicodedata.normalize("NFC", name).casefold().replace("\\", "/").split("/")
    return tuple(part for part in map(str.strip, parts) if part not in ("", "."))


def is_absolute(name: str) -> bool:
    """Whether a path is one from the root of a file system, of this one or of Windows: /a, C:\\a, \\\\server\\a."""
    return name.startswith(("/", "\\")) or (name[1:2] == ":" and name[:1].isalpha())


def files_below(root: Path) -> list[str]:
    """The images below a folder as paths relative to it, with `/`; folders that are links are not entered."""
    found = []
    for folder, _, names in os.walk(root):
        below = Path(folder).relative_to(root)
        found += [(below / name).as_posix() for name in names if Path(name).suffix.lower() in SUFFIXES]
    return found


def match_names(names: Sequence[str], files: Iterable[str], by_tail: bool = False) -> dict[str, str]:
    """The file of each name that has one, among `files`, relative paths with `/`; no two names share a file.

    A name is found as it is; else without regard to case and Unicode form, or with another suffix of images, where one
    file alone is meant; else by its tail, if it is absolute: the folder of another machine that stands before most
    names is replaced by one here.

    by_tail: relative names may match by their tails too, where none of them was found otherwise."""
    files = sorted(set(files))
    exact = set(files)
    found = {name: name for name in names if name in exact}
    keys = _by_key(file for file in files if file not in found)
    for name in names:
        if name not in found and len(same := _same(keys, name)) == 1:
            found[name] = same[0]
    left = [name for name in names if name not in found and ".." not in comparable(name)]
    if not (by_tail and not found):
        left = [name for name in left if is_absolute(name)]
    moved = _by_tails(left, [file for file in files if file not in found.values()])
    return _without_shared({**found, **moved})


def _by_key(files: Iterable[str]) -> dict[tuple[str, ...], list[str]]:
    """Files by what their names are compared by, with their suffix and without it."""
    keys = defaultdict(list)
    for file in files:
        for key in (comparable(file), comparable(os.path.splitext(file)[0])):
            keys[key].append(file)
    return keys


def _same(keys: Mapping[tuple[str, ...], list[str]], name: str) -> Sequence[str]:
    """The files that a name means, as it is or, where there is none, with another suffix of images."""
    stem, suffix = os.path.splitext(name.strip())
    if found := keys.get(comparable(name), ()):
        return found
    return keys.get(comparable(stem), ()) if suffix.lower() in SUFFIXES else ()


def _by_tails(names: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """Files of names that begin with the folder that most of the names are moved from."""
    keys, last = _by_key(files), defaultdict(list)
    for key in keys:
        last[key[-1]].append(key)
    votes: Counter[tuple] = Counter()
    for parts in map(comparable, names):
        for key in last.get(parts[-1], ()) if parts else ():
            votes[_move(parts, key)] += 1
    if not votes:
        return {}
    ranks = {move: (votes[move], -len(move[0]), -len(move[1])) for move in votes}
    best = [move for move in votes if ranks[move] == max(ranks.values())]
    if len(best) > 1:
        return {}  # they could be meant to lie in either place
    before, after = best[0]
    moved = {}
    for name in names:
        parts = comparable(name)
        same = keys.get(after + parts[len(before) :], ()) if parts[: len(before)] == before else ()
        if len(same) == 1:
            moved[name] = same[0]
    return moved


def _move(name: tuple[str, ...], file: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The folders that stand before what a name and a file have in common."""
    common = 0
    for one, other in zip(reversed(name), reversed(file), strict=False):
        if one != other:
            break
        common += 1
    return name[: len(name) - common], file[: len(file) - common]


def _without_shared(found: dict[str, str]) -> dict[str, str]:
    """The names that are files as they are, and of the others those whose file no other name has."""
    counts = Counter(found.values())
    return {name: file for name, file in found.items() if name == file or counts[file] == 1}


def photographs(files: Iterable[str]) -> list[str]:
    """The files that do not lie in a folder of masks, depths or normals."""
    return [file for file in files if not any(part.startswith(_OTHER_IMAGES) for part in comparable(file)[:-1])]
