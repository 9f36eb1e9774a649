"""Which pixels a camera means where a photograph carries an EXIF orientation: those stored, or those turned by it.

Cameras from elsewhere belong to pixels as their program read them. COLMAP, instant-ngp and nerfstudio read them as
stored, NeuS reads them turned, as OpenCV does; people also turn photographs before they run one of these. Where only
one of the two has the shape of the camera's images it is meant, else what the program that wrote the cameras reads."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from utils.images import inverse_orientation, stored_size

AS_STORED = 1  # the orientation of pixels that stay as they are
_SAME_ASPECT = 0.01  # relative difference of two aspect ratios that is one of rounding
_NEAR_ASPECT = 0.15  # the same, where the principal point tells the shape, which need not be in the middle


@dataclass(frozen=True)
class CameraShape:
    """What a file of cameras tells about the images that they are for."""

    size: tuple[float, float]  # width and height
    by_centre: bool = False  # twice the principal point: a file without width and height


@dataclass(frozen=True)
class Orientation:
    """How the pixels of a photograph are used."""

    applied: int = AS_STORED  # the EXIF orientation, 1 to 8, that its stored pixels are turned by
    tag: int = AS_STORED  # the one that the file carries
    by_shape: bool = False  # whether the shape of the camera's images decided, else the habit of their program

    @property
    def said(self) -> str:
        """How it is used and why, in words."""
        how = "as stored" if self.applied == AS_STORED else "turned upright"
        why = (
            "the shape that their cameras are for" if self.by_shape else "as programs read them that make such cameras"
        )
        return f"{how}, {why}"


def orientation_of(path: Path, camera: CameraShape | None, turns: bool = False) -> Orientation:
    """The orientation in which a photograph shows what its camera means.

    camera: None where nothing tells the shape; turns: whether the program that wrote the camera turns photographs,
    which decides where both shapes fit or neither does. Raises DataError for a file that is no image."""
    size, tag = stored_size(path)
    usual, other = (tag, AS_STORED) if turns else (AS_STORED, tag)
    if camera is None or usual == other:
        return Orientation(usual, tag)
    misfits = [_misfit(turned_size(size, orientation), camera.size) for orientation in (usual, other)]
    most, margin = (_NEAR_ASPECT, _NEAR_ASPECT) if camera.by_centre else (_SAME_ASPECT, 0.0)
    takes_other = misfits[1] < most and misfits[1] + margin < misfits[0]
    by_shape = takes_other or (misfits[0] < most and misfits[0] + margin < misfits[1])
    return Orientation(other if takes_other else usual, tag, by_shape)


def orientation_of_mask(path: Path, size: tuple[int, int], photo: Orientation, turns: bool = False) -> int:
    """The EXIF orientation to apply to a mask of a photograph that is used at `size` (width, height).

    Masks are as stored or turned by their own tag, as the photograph is; where that size differs, the other of the two,
    or a mask without a tag that was drawn on the photograph turned the other way."""
    stored, tag = stored_size(path)
    first, second = (tag, AS_STORED) if turns or photo.applied != AS_STORED else (AS_STORED, tag)
    third = inverse_orientation(photo.tag) if photo.applied == AS_STORED else photo.tag
    fitting = [one for one in (first, second, third) if turned_size(stored, one) == size]
    return fitting[0] if fitting else first


def say_orientations(orientations: Mapping[Path, Orientation], say: Callable[[str, int], None]) -> None:
    """Tells how photographs are used that carry an orientation; say: takes a text and a level of logging."""
    for said in sorted({one.said for one in orientations.values() if one.tag != AS_STORED}):
        say(f"photographs with an EXIF orientation are used {said}", logging.INFO)


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """The width and height of pixels of `size` once an EXIF orientation, 1 to 8, was applied."""
    return (size[1], size[0]) if orientation >= 5 else size


def _misfit(size: tuple[int, int], camera: tuple[float, float]) -> float:
    """The relative difference of two aspect ratios."""
    return abs(size[0] * camera[1] / max(size[1] * camera[0], 1e-9) - 1.0) if min(camera) > 0 else 0.0
