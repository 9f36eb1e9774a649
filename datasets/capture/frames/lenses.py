"""Which photos were taken through the same lens at the same zoom, by their EXIF data."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

log = logging.getLogger(__name__)
_MAKE, _MODEL, _PHOTO = 0x010F, 0x0110, 0x8769  # EXIF tags, and the tag of the directory of the following ones
_FOCAL, _FOCAL_35MM, _LENS = 0x920A, 0xA405, 0xA434
_SAME_FOCAL, _SAME_35MM = 1.01, 1.05  # ratios of lengths that are one: the second is given in whole millimetres


@dataclass(frozen=True)
class Optics:
    """What a photo says of how it was taken; empty and 0 where it does not."""

    device: str = ""  # maker, model and lens
    focal: float = 0.0  # mm
    focal_35mm: float = 0.0  # mm, of a full-frame camera with the same view; tells digital zoom and phones' lenses


def read_optics(data: bytes) -> Optics:
    """The optics of EXIF data, as `utils.images.upright_exif` gives it; what is damaged counts as missing."""
    exif = Image.Exif()
    try:
        exif.load(data)
        photo = exif.get_ifd(_PHOTO)
    except Exception:  # of damaged data, anything
        return Optics()
    words = [str(value).strip("\0 ") for value in (exif.get(_MAKE), exif.get(_MODEL), photo.get(_LENS)) if value]
    return Optics(" ".join(words), _length(photo.get(_FOCAL)), _length(photo.get(_FOCAL_35MM)))


def _length(value: object) -> float:
    try:
        length = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return length if 0.0 < length < 1e5 else 0.0


def group_lenses(optics: Sequence[Optics]) -> list[str]:
    """The name of the lens of each photo, such as `Phone P1, 4 mm`; all are empty where there is one lens alone.

    Photos have one lens if their devices are the same and their focal lengths, by both measures, equal."""
    focal = _levels([one.focal for one in optics], _SAME_FOCAL)
    wide = _levels([one.focal_35mm for one in optics], _SAME_35MM)
    keys = [(one.device, *lengths) for one, *lengths in zip(optics, focal, wide, strict=True)]
    if len(set(keys)) < 2:
        return [""] * len(optics)
    return [_name(*key) for key in keys]


def _name(device: str, focal: float, wide: float) -> str:
    """`Phone P1, 4 mm, 26 mm of 35 mm film`, without what is not known."""
    of_35mm = f"{wide:g} mm of 35 mm film" if wide else ""
    return ", ".join(filter(None, [device, f"{focal:.4g} mm" if focal else "", of_35mm])) or "no EXIF data"


def _levels(lengths: Sequence[float], ratio: float) -> list[float]:
    """Each length as the smallest of those that are the same within a ratio."""
    level, levels = 0.0, {}
    for length in sorted(set(lengths)):
        level = length if level == 0.0 or length > level * ratio else level
        levels[length] = level
    return [levels[length] for length in lengths]


def tell_lenses(lenses: Sequence[str], is_shared: bool, where: Path) -> None:
    """Logs the lenses of photos, if there are several."""
    counts = Counter(lenses)
    if len(counts) > 1:
        told = "; ".join(f"{name}: {count}" for name, count in sorted(counts.items()))
        cameras = "each has a camera of its own" if is_shared else "each image has a camera of its own"
        log.info("  %s: photos of %d lenses or zooms (%s): %s", where.name, len(counts), told, cameras)
