"""Masks that the user brings, undistorted like the images that they belong to."""

import logging
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from datasets.capture.masks.mask_files import MASK_FOLDER, MaskReport, write_mask
from datasets.capture.sparse_model import SparseModel
from datasets.geometry.lens import Lens
from datasets.masks import pair_masks, read_mask
from utils.errors import DataError

log = logging.getLogger(__name__)


def write_user_masks(
    source: Path, originals: Mapping[str, str], lenses: Mapping[str, Lens], model: SparseModel, out: Path
) -> MaskReport:
    """Writes the masks of a user's folder `source` to `out`/masks, as the undistorted cameras of `model` see them.

    originals: the file name that the mask of each frame goes by, by the name of the frame: that of the photo that the
    frame comes from, or its own; lenses: those of the frames before undistortion, by the same names. Resizes masks
    that have another size than their frames. Raises DataError where no mask belongs to an image."""
    paths = {name: source / original for name, original in originals.items()}
    masks = pair_masks(list(paths.values()), source, source)
    all_views = [(view, name, masks.get(paths[name])) for view, name in enumerate(model.names)]
    masked_views = [(view, name, mask) for view, name, mask in all_views if mask is not None]
    if not masked_views:
        raise DataError(
            f"{source}: expected masks of the images that have a camera, got masks of other images only. Add the mask "
            f"of {paths[model.names[0]].name}, or prepare without --masks."
        )
    for view, name, path in masked_views:
        mask = _resize(read_mask(path), lenses[name].size, path)
        size = tuple(model.sizes[view].tolist())
        write_mask(out / MASK_FOLDER, name, lenses[name].seen_by(mask, model.intrinsics[view], size))
    log.info("%s: %d of %d images have a mask", source, len(masked_views), len(model.names))
    return MaskReport("given", MASK_FOLDER, len(masked_views), len(model.names))


def _resize(mask: np.ndarray, size: tuple[int, int], path: Path) -> np.ndarray:
    """The mask (H, W) at the size (w, h) of its frame. Raises DataError for another aspect ratio."""
    width, height = mask.shape[1], mask.shape[0]
    if abs(width * size[1] / (height * size[0]) - 1.0) > 0.01:
        raise DataError(
            f"{path}: expected a mask with the aspect ratio of its image, {size[0]}x{size[1]}, got {width}x{height}. "
            f"Make the masks from the images that you give to prepare.py, upright and not cropped."
        )
    return mask if (width, height) == size else cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
