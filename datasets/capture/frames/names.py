"""What photos are called in frames/."""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from utils.terminal.numbers import counted

log = logging.getLogger(__name__)


def same_name(name: str) -> str:
    """What two names have in common that some file system or other takes for one: case, and how accents are coded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def original_name(stem: str) -> str:
    """The name that a photo may be a copy of: `img_1` for `IMG_1 (1)`, `IMG_1-edited` and `IMG_E1`."""
    stem = re.sub(r"(\s*\(\d+\)|[ _-]+(edited|edit|copy|kopie|copie)( ?\d+)?)+$", "", stem.casefold())
    return re.sub(r"^img_e(\d)", r"img_\1", stem)


def frame_names(names: Sequence[str]) -> list[str]:
    """The name in frames/ of each of several photos in one folder, no two alike; photos keep theirs where they can.

    All are JPEGs, so a.png beside a.jpg becomes a_png.jpg. What COLMAP's lists cannot hold, which are spaces, a # in
    front and bytes that are no text, becomes `_`; names that are then alike, in upper or lower case, get a number."""
    stems = Counter(same_name(Path(name).stem) for name in names)
    wanted = [_clean(name, is_single=stems[same_name(Path(name).stem)] == 1) for name in names]
    is_kept = [Path(name).stem == stem for name, stem in zip(names, wanted, strict=True)]
    found, taken = [""] * len(names), set()
    for place in sorted(range(len(names)), key=lambda place: not is_kept[place]):
        stem, count = wanted[place], 1
        while same_name(stem) in taken:
            count += 1
            stem = f"{wanted[place]}_{count}"
        taken.add(same_name(stem))
        found[place] = f"{stem}.jpg"
    numbered = [place for place, stem in enumerate(wanted) if found[place] != f"{stem}.jpg"]
    if numbered:
        log.info(
            "  %s numbered, since others have the same name but for spaces or case: %s is %s",
            *(counted(len(numbered), "photo"), names[numbered[0]], found[numbered[0]]),
        )
    return found


def _clean(name: str, is_single: bool) -> str:
    """The name of a photo without its suffix, or with `_suffix` unless it is the single one of its stem."""
    stem = Path(name).stem if is_single else f"{Path(name).stem}_{Path(name).suffix[1:]}"
    stem = stem.encode(errors="replace").decode().replace("?", "_") if _is_no_text(stem) else stem
    return re.sub(r"^#", "_", "_".join(stem.split()) or "_")


def _is_no_text(name: str) -> bool:
    return any(0xD800 <= ord(letter) <= 0xDFFF for letter in name)
