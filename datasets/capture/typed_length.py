"""A length that the user knows, between two points seen in photographs, as the command line gives it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from utils.errors import ConfigError

_EXAMPLE = "--known-length 0.12 --between 003.jpg:412,300 017.jpg:388,295 --and 003.jpg:640,310 017.jpg:598,322"


@dataclass(frozen=True)
class Click:
    """A point in a photograph."""

    photo: str  # its name in OUT/images, with or without suffix
    x: float  # pixels as image viewers show them: 0, 0 is the top left pixel
    y: float

    def __str__(self) -> str:
        return f"{self.photo}:{self.x:g},{self.y:g}"


@dataclass(frozen=True)
class KnownLength:
    """Two points, each in at least two photographs, and how far they lie apart."""

    metres: float
    ends: tuple[tuple[Click, ...], tuple[Click, ...]]


def parse_known_length(
    metres: float | None, between: Sequence[str] | None, and_: Sequence[str] | None
) -> KnownLength | None:
    """What --known-length METRES --between PHOTO:X,Y ... --and PHOTO:X,Y ... say; None without them.

    Raises ConfigError."""
    if metres is None and between is None and and_ is None:
        return None
    if metres is None or between is None or and_ is None:
        raise ConfigError(
            f"--known-length, --between and --and: belong together, the metres and both of their ends. For example "
            f"{_EXAMPLE}."
        )
    if not 0.0 < metres < math.inf:
        raise ConfigError(f"--known-length: expected metres, above 0, got {metres:g}.")
    return KnownLength(metres, (_clicks("--between", between), _clicks("--and", and_)))


def _clicks(flag: str, texts: Sequence[str]) -> tuple[Click, ...]:
    clicks = tuple(_click(flag, text) for text in texts)
    if len({click.photo for click in clicks}) < 2:
        raise ConfigError(
            f"{flag}: expected one point in at least two photographs of OUT/images, from well apart, got "
            f"{' '.join(texts)}. For example {_EXAMPLE}."
        )
    return clicks


def _click(flag: str, text: str) -> Click:
    photo, _, place = text.rpartition(":")
    try:
        x, y = (float(part) for part in place.split(","))
    except ValueError:
        x = y = math.nan
    if not photo or not math.isfinite(x + y):
        raise ConfigError(f"{flag}: expected PHOTO:X,Y, such as 003.jpg:412,300, got '{text}'.")
    return Click(photo, x, y)
