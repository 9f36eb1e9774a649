"""Writes photographs whose colours tell where each pixel belongs, and masks in all the ways that people store them."""

from pathlib import Path

import numpy as np
from PIL import Image
from scene_choices import Choices

_TAG = 0x0112


def coded(index: int, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8: red tells x as a share of the width, green y of the height, blue the view."""
    width, height = size
    image = np.empty((height, width, 3))
    image[..., 0] = 255.0 * (np.arange(width) + 0.5) / width
    image[..., 1] = (255.0 * (np.arange(height) + 0.5) / height)[:, None]
    image[..., 2] = 30.0 + 15.0 * index
    return np.rint(image).astype(np.uint8)


def view_of(blue: np.ndarray) -> int:
    """The view that the blue of its pixels tells."""
    return round((float(np.median(blue)) - 30.0) / 15.0)


def untransposed(image: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels as stored, of an image (H, W, ...) that a viewer shows after it turned them by the tag."""
    flat = {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.swapaxes(0, 1),
        6: np.rot90(image, 1),
        7: image[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(image, -1),
    }
    return np.ascontiguousarray(flat[orientation])


def write_photo(path: Path, choices: Choices, image: np.ndarray) -> None:
    """An image (H, W, 3|4) of the pixels that the camera means, with the scene's orientation tag."""
    if choices.turned:
        image = untransposed(image, choices.orientation)
    options: dict = {"jpg": {"quality": 97, "subsampling": 0}, "webp": {"lossless": True, "exact": True}}.get(
        choices.suffix, {}
    )
    if choices.orientation != 1:
        exif = Image.Exif()
        exif[_TAG] = choices.orientation
        options["exif"] = exif
    kind = {"jpg": "JPEG", "tif": "TIFF"}.get(choices.suffix, choices.suffix.upper())
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, format=kind, **options)


def write_mask(path: Path, kind: str, inside: np.ndarray, photo: np.ndarray) -> None:
    """A mask of the object `inside` (H, W) bool, see scene_choices.MASKS; photo: (H, W, 3) uint8 of the same pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    white = np.where(inside, 255, 0).astype(np.uint8)
    if kind == "255":
        image = Image.fromarray(white)
    elif kind == "01":
        image = Image.fromarray(inside.astype(np.uint8))
    elif kind == "bit":
        image = Image.fromarray(white).convert("1")
    elif kind in ("palette", "label"):  # label: the first colour of Pascal VOC's classes
        image = Image.fromarray(inside.astype(np.uint8), mode="P")
        image.putpalette([0, 0, 0, *((255, 255, 255) if kind == "palette" else (128, 0, 0))])
    elif kind == "u16":
        image = Image.fromarray(white.astype(np.uint16) * 257)
    elif kind == "jpeg":
        image = Image.fromarray(white)
        image.save(path, format="JPEG", quality=95)
        return
    elif kind == "cutout":  # a background remover's: the photograph, transparent around the object
        image = Image.fromarray(np.dstack([photo, white]))
    elif kind == "grey_cutout":
        image = Image.fromarray(np.dstack([photo[..., 0], white]), mode="LA")
    elif kind == "opaque":
        image = Image.fromarray(np.dstack([white, white, white, np.full_like(white, 255)]))
    else:  # transparent_white: white everywhere
        image = Image.fromarray(np.dstack([np.full((*white.shape, 3), 255, np.uint8), white]))
    image.save(path, format="PNG")


def ignored(size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: all but a rectangle in a corner, which a mask that means "do not train here" leaves out."""
    keep = np.ones(size[::-1], dtype=bool)
    keep[: size[1] // 3, : size[0] // 3] = False
    return keep
