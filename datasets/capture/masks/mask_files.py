"""The files of masks in a prepared folder: their folders and names, and the report of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from utils.files import replacing
from utils.images import write_png

MASK_FOLDER = "masks"  # the loaders read these masks
CONTACT_SHEET = "masks.png"  # all masks over their photographs
LOOSE_MASK_FOLDER = "masks_loose"  # no loader reads these: they show where the object may be, not where it is


@dataclass(frozen=True)
class MaskReport:
    """Which masks were written."""

    kind: Literal["carved", "given", "rembg", "loose", "none"]
    folder: str | None  # MASK_FOLDER, LOOSE_MASK_FOLDER or None
    num_masks: int
    num_images: int
    agreement: float | None = None  # of carved masks with each other, in [0, 1]
    told: float | None = None  # the share of their outlines where the photographs tell both sides apart
    reason: str | None = None  # why there are none, where they were asked for


def mask_name(image_name: str) -> str:
    """The file of an image's mask, below the folder of masks: a PNG of the same name, which `pair_masks` finds."""
    return Path(image_name).with_suffix(".png").as_posix()


def masks_in(folder: Path, image_names: Iterable[str]) -> dict[str, Path]:
    """The masks in a folder that `write_mask` fills, by the names of their images; images without a mask are absent."""
    paths = {name: folder / mask_name(name) for name in image_names}
    return {name: path for name, path in paths.items() if path.is_file()}


def write_mask(folder: Path, image_name: str, mask: np.ndarray) -> None:
    """Writes the mask (H, W) uint8 of an image, whole or not at all."""
    with replacing(folder / mask_name(image_name)) as temporary:
        write_png(temporary, mask)
