"""Scenes that are read wrongly today, by kind. An entry is deleted with the change that mends its kind."""

from dataclasses import dataclass
from typing import Any

from scene_choices import Choices, plain

FROM_COLMAP = ("colmap_bin", "colmap_txt", "ngp", "nerfstudio")
NEUS = ("neus", "bmvs")
WITH_MASK_FILES = (*FROM_COLMAP, *NEUS)


@dataclass(frozen=True)
class Fault:
    """A kind of scene, and what goes wrong with it."""

    name: str
    why: str
    layouts: tuple[str, ...]
    having: dict[str, tuple]  # the values of choices, one of which each scene of the kind has; the first is the example
    at_least: dict[str, float]  # numbers from which on it happens; the example has a hundred times that
    also: dict[str, Any]  # what the example has besides

    def covers(self, choices: Choices) -> bool:
        """Whether a scene is of this kind."""
        has = all(getattr(choices, key) in values for key, values in self.having.items())
        large = all(getattr(choices, key) / choices.scale >= bound for key, bound in self.at_least.items())
        return choices.layout in self.layouts and has and large

    def example(self, layout: str) -> Choices:
        """The plainest scene of this kind in one of its layouts."""
        values = {key: options[0] for key, options in self.having.items()}
        return plain(3, layout, **values, **{key: 100 * bound for key, bound in self.at_least.items()}, **self.also)


def _fault(name: str, why: str, layouts: tuple[str, ...], also: dict | None = None, far: float = 0.0, **having: tuple):
    return Fault(name, why, layouts, having, {"offset": far} if far else {}, also or {})


FAULTS = (
    _fault(
        *("corner, resized", "a crop that was resized too is taken for one of the two", NEUS, {"masks": "255"}),
        principal=("corner",), ratio=(2, 4),
    ),
    _fault("far Blender", "cameras far from the origin lose their digits to float32", ("blender",), far=1e2),
)  # fmt: skip


def known(choices: Choices) -> list[str]:
    """The names of the faults that a scene may have."""
    return [fault.name for fault in FAULTS if fault.covers(choices)]
