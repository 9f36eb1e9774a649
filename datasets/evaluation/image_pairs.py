"""Pairs the images of two folders, renderings and photographs, and reads them for comparison."""

from pathlib import Path

import numpy as np

from datasets.assemble import list_images
from datasets.files.orientation import CameraShape, orientation_of
from utils.errors import DataError
from utils.images import read_image


def pair_images(predicted: Path, true: Path) -> list[tuple[Path, Path]]:
    """The pairs of images of two folders that have the same name, whatever the extension, in natural order. Raises
    DataError unless each predicted image has a true one."""
    truth = {path.stem: path for path in _list(true)}
    images = _list(predicted)
    missing = [path.name for path in images if path.stem not in truth]
    if missing:
        raise DataError(
            f"{predicted}: {len(missing)} of {len(images)} images have no counterpart in {true}, first {missing[0]}. "
            f"Give the images of both folders the same names; extensions may differ."
        )
    return [(path, truth[path.stem]) for path in images]


def read_pair(predicted: Path, true: Path, background: float) -> tuple[np.ndarray, np.ndarray]:
    """Both images as (H, W, 3) float32 in [0, 1]; transparent pixels show a grey `background` in [0, 1].

    Raises DataError where their sizes differ."""
    rendered = read_image(predicted)
    shape = CameraShape((rendered.shape[1], rendered.shape[0]))  # a rendering has the pixels that its camera means
    photograph = read_image(true, orientation_of(true, shape).applied)
    images = [_opaque(image, background) for image in (rendered, photograph)]
    if images[0].shape != images[1].shape:
        sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in images]
        raise DataError(
            f"{predicted}: expected the size of {true}, {sizes[1]}, got {sizes[0]}. Render at the size of the "
            f"photographs."
        )
    return images[0], images[1]


def _list(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. Give a folder of images.")
    return list_images(folder)


def _opaque(image: np.ndarray, background: float) -> np.ndarray:
    rgb = image[..., :3].astype(np.float32) / 255.0
    if image.shape[2] == 3:
        return rgb
    alpha = image[..., 3:].astype(np.float32) / 255.0
    return rgb * alpha + np.float32(background) * (1.0 - alpha)
