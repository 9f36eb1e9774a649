"""Kinds of scenes that were once read wrongly without a word: an example of each, in each layout that had it."""

from dataclasses import dataclass
from typing import Any

from scene_choices import Choices, plain

FROM_COLMAP = ("colmap_bin", "colmap_txt", "ngp", "nerfstudio")
NEUS = ("neus", "bmvs")
WITH_MASK_FILES = (*FROM_COLMAP, *NEUS)


@dataclass(frozen=True)
class Fault:
    """A kind of scene, and what went wrong with it."""

    name: str
    why: str
    layouts: tuple[str, ...]
    having: dict[str, tuple]  # the values of choices that scenes of the kind have; the first is the example
    at_least: dict[str, float]  # numbers from which on it happened; the example has a hundred times that
    also: dict[str, Any]  # what the example has besides

    def example(self, layout: str) -> Choices:
        """The plainest scene of this kind in one of its layouts."""
        values = {key: options[0] for key, options in self.having.items()}
        return plain(3, layout, **values, **{key: 100 * bound for key, bound in self.at_least.items()}, **self.also)


def _fault(name: str, why: str, layouts: tuple[str, ...], also: dict | None = None, far: float = 0.0, **having: tuple):
    return Fault(name, why, layouts, having, {"offset": far} if far else {}, also or {})


FAULTS = (
    _fault("cut-out", "a mask is the lesser of brightness and alpha", WITH_MASK_FILES, masks=("cutout", "grey_cutout")),
    _fault("label", "a mask of a dark colour counts as half opaque", WITH_MASK_FILES, masks=("label",)),
    _fault(
        *("half turn", "photographs are turned by their tag, though the cameras mean them as stored", FROM_COLMAP),
        *({"suffix": "jpg"},), orientation=(3, 2, 4),
    ),
    _fault(
        *("quarter turn", "of a square image, or where the lens forgives it", FROM_COLMAP),
        *({"suffix": "jpg", "size": (80, 80)},), orientation=(6, 5, 7, 8), turned=(False,),
    ),
    _fault("corner", "a crop is taken for images of half the size", NEUS, principal=("corner",), ratio=(1,)),
    _fault(
        *("corner, resized", "a crop that was resized too is taken for one of the two", NEUS, {"masks": "255"}),
        principal=("corner",), ratio=(2, 4),
    ),
    _fault("k4", "the r⁸ term of a perspective lens is a denominator, as OpenCV's k4", ("nerfstudio",), lens=("K4",)),
    _fault("far away", "the focus point is pulled to the origin of the world", FROM_COLMAP, far=1e4),
    _fault("far Blender", "cameras far from the origin lose their digits to float32", ("blender",), far=1e2),
    _fault("ignore", "mask_path means where not to train, but carves the object", ("nerfstudio",), masks=("ignore",)),
    _fault("listed twice", "a frame is held out and trained on", ("ngp", "nerfstudio"), repeated=("equal",)),
    _fault("two poses", "the last of two poses of a photograph wins", ("ngp", "nerfstudio"), repeated=("other",)),
)  # fmt: skip
