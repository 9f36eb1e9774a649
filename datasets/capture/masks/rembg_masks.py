"""Masks by rembg, or loose ones, the outline of the region of interest."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from datasets.capture.drawing import fill_polygon
from datasets.capture.masks.mask_files import LOOSE_MASK_FOLDER, MASK_FOLDER, MaskReport, write_mask
from datasets.capture.masks.segmentation import load_segmenter
from datasets.capture.region.shapes import sphere_outline
from datasets.capture.sparse_model import SparseModel
from datasets.region import Region
from utils.images import read_image

log = logging.getLogger(__name__)
_MIN_SHARE = 0.01  # of the region's outline that a mask covers; a smaller mask shows no object


def write_rembg_masks(region: Region, model: SparseModel, images: Path, out: Path) -> MaskReport:
    """Writes masks made by rembg to `out`/masks, limited to the region. Where rembg is missing or detects no object in
    most images, logs why and writes loose masks to `out`/masks_loose.

    images: the folder of the undistorted images. Raises DataError for an image that cannot be read."""
    segment = load_segmenter()
    if segment is not None:
        masks = dict(_segment_all(segment, region, model, images))
        if 2 * len(masks) > len(model.names):
            for name, mask in masks.items():
                write_mask(out / MASK_FOLDER, name, mask)
            num_empty = len(model.names) - len(masks)
            log.info("rembg: masks of %d images%s", len(masks), f", no object in {num_empty}" if num_empty else "")
            return MaskReport("rembg", MASK_FOLDER, len(masks), len(model.names))
        log.warning("rembg detected an object in the region in only %d of %d images", len(masks), len(model.names))
    return write_loose_masks(region, model, out)


def write_loose_masks(region: Region, model: SparseModel, out: Path) -> MaskReport:
    """Writes the outline of the region above its ground, in each view, to `out`/masks_loose.

    The outline contains background too. As alpha it would make the mask loss fill the whole sphere, so no loader reads
    this folder; a user can look at these masks and make better ones from them."""
    for view, name in enumerate(model.names):
        write_mask(out / LOOSE_MASK_FOLDER, name, loose_mask(region, model, view))
    log.warning(
        "wrote loose masks, the outline of the region, to %s/. Training does not use them, since they contain "
        "background too. Correct them and put them into %s/, give a folder with --masks, or train without masks",
        *(LOOSE_MASK_FOLDER, MASK_FOLDER),
    )
    return MaskReport("loose", LOOSE_MASK_FOLDER, len(model.names), len(model.names))


def loose_mask(region: Region, model: SparseModel, view: int) -> np.ndarray:
    """(H, W) uint8: 255 where the part of the region above the ground projects to, else 0."""
    size = tuple(model.sizes[view].tolist())
    polygon = sphere_outline(region, model, view, above_ground=True)
    if polygon is not None:
        return fill_polygon(polygon, size)
    inside = np.linalg.norm(model.c2w[view, :, 3] - region.center) <= region.radius
    return np.full((size[1], size[0]), 255 * inside, np.uint8)


def _segment_all(
    segment: Callable[[np.ndarray], np.ndarray], region: Region, model: SparseModel, images: Path
) -> Iterator[tuple[str, np.ndarray]]:
    """The names of the images that show an object within the region, and its masks."""
    for view, name in enumerate(model.names):
        loose = loose_mask(region, model, view)
        mask = np.minimum(segment(read_image(images / name)[..., :3]), loose)
        if (mask > 127).sum() > _MIN_SHARE * (loose > 127).sum():
            yield name, mask
