"""What a key may be beside its type, declared at its field: `n_levels: Annotated[int, Range(1, 32)] = 16`.

`utils.config.schema` asks `admits` of each value and shows `str(limit)`, for example "from 1 to 32", where it refuses
one; of a tuple or a schedule it asks for every number."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from utils import registry
from utils.platforms import is_device

MAX_NAME = 100  # bytes; names of runs add a date to it, and file systems end at 255


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, or those above `above` and below `below` where an end itself is left out."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def admits(self, value: float) -> bool:
        """Whether a number lies within the range."""
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            return f"from {number_text(self.low)} to {number_text(self.high)}"
        ends = {"at least": self.low, "above": self.above, "at most": self.high, "below": self.below}
        return " and ".join(f"{words} {number_text(end)}" for words, end in ends.items() if end is not None)


@dataclass(frozen=True)
class OneOf:
    """Names that are registered for a kind."""

    kind: str

    def admits(self, value: str) -> bool:
        """Whether something is registered under a name."""
        return value in self.known

    @property
    def known(self) -> list[str]:
        """The names that are registered."""
        return registry.names(self.kind)

    def __str__(self) -> str:
        return f"that is one of {', '.join(self.known)}"


@dataclass(frozen=True)
class FolderName:
    """Text that can be the name of a folder on every system."""

    also: str = ""  # characters that are allowed beside letters, digits, '.', '_' and '-'
    empty: bool = False  # whether it may be empty

    def admits(self, value: str) -> bool:
        """Whether text can be such a name."""
        if not value:
            return self.empty
        allowed = re.fullmatch(rf"[\w.{re.escape(self.also)}-]+", value) and not value.endswith(".")
        return bool(allowed) and not is_device(value) and len(value.encode("utf-8", "replace")) <= MAX_NAME

    def __str__(self) -> str:
        allowed = ["letters", "digits", "'.'", "'_'", *(f"'{character}'" for character in self.also)]
        return f"of {', '.join(allowed)} and '-', at most {MAX_NAME} bytes, no '.' at its end, and not as nul or con"


def number_text(value: float) -> str:
    """A number as short as it can be read: 1e9 rather than 1000000000."""
    if isinstance(value, int) and (abs(value) < 10**6 or value % 10**6):
        return str(value)
    return re.sub(r"e([+-])0*", lambda match: "e" + match[1].strip("+"), f"{value:g}")


def limits_of(kind: Any) -> tuple[Any, ...]:
    """The limits that an annotation carries; none for one that is not Annotated."""
    return getattr(kind, "__metadata__", ())


Share = Annotated[float, Range(0.0, 1.0)]
Step = Annotated[int, Range(0, 10**9)]
Interval = Annotated[int, Range(1, 10**9)]  # in steps
Length = Annotated[float, Range(above=0.0, high=1e6)]  # in scene units
