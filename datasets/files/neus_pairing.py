"""Which camera of a NeuS file each image has: by the order of the images, or by numbers where some are missing."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from utils.errors import DataError
from utils.terminal.numbers import counted

log = logging.getLogger(__name__)
_RENAME = "Name each image like the number of its camera (007.png is world_mat_7)"


def pair_cameras(images: Sequence[Path], numbers: Sequence[int], where: Path) -> list[int | None]:
    """The place in `numbers`, which are ascending, of each image's camera; None for an image without one.

    In order where there are as many and the numbers have no gaps; else by the number that an image's name ends with,
    which is said in the log. where: the file of the cameras, for messages. Raises DataError where that pairs none."""
    is_whole = numbers[-1] - numbers[0] + 1 == len(numbers)
    if is_whole and len(images) == len(numbers):
        _say_order(images, where)
        return list(range(len(numbers)))
    named = [_number(path) for path in images]
    if is_whole and (len(images) > len(numbers) or not set(named) <= set(numbers) or len(set(named)) < len(named)):
        raise DataError(
            f"{where}: expected one world_mat_i for each image, got {len(numbers)} for {len(images)} images in "
            f"{images[0].parent}. Remove the images that have no camera. Images may only be missing if their names are "
            f"the numbers of their cameras (000.png is i = 0)."
        )
    places = {number: place for place, number in enumerate(numbers)}
    found = [places.get(number) for number in named]
    paired = [place for place in found if place is not None]
    lonely = [path.name for path, place in zip(images, found, strict=True) if place is None]
    if None in named or not paired or len(set(paired)) < len(paired) or (lonely and len(images) <= len(numbers)):
        raise DataError(
            f"{where}: expected the names of the images in {images[0].parent} to be the numbers of their cameras, "
            f"since the {len(numbers)} world_mat_i have gaps from {numbers[0]} to {numbers[-1]}, got "
            f"{len(images)} images, {lonely[0] if lonely else images[0].name} without one of its own. {_RENAME}."
        )
    log.info(
        "%s: %d cameras with numbers from %d to %d for %d images; pairing them by number",
        *(where, len(numbers), numbers[0], numbers[-1], len(images)),
    )
    if lonely:
        left = counted(len(lonely), "image")
        log.warning("%s: leaving out %s without a camera, first %s", where, left, lonely[0])
    return found


def _say_order(images: Sequence[Path], where: Path) -> None:
    """Warns where the order of images by number is not that by text, which NeuS and IDR pair their cameras by."""
    as_text = sorted(images, key=lambda path: path.name)
    if list(images) != as_text:
        at = next(i for i, (one, other) in enumerate(zip(images, as_text, strict=True)) if one != other)
        log.warning(
            "%s: cameras are paired with images in the order of their numbers, so %s has the camera with the place %d; "
            "sorted as text, as NeuS does, it would be %s. If that was meant, %s",
            *(where, images[at].name, at, as_text[at].name, "write numbers of equal length (002.png) in that order"),
        )


def _number(path: Path) -> int | None:
    """The last number in a file's name."""
    digits = re.findall(r"[0-9]+", path.stem)
    return int(digits[-1]) if digits else None
