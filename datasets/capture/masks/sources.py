"""Masks of a capture: the user's own, made by rembg, or loose ones, the outline of the region of interest."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from datasets.capture.cloud import Cloud
from datasets.capture.drawing import filled
from datasets.capture.masks.cutout import cutter
from datasets.capture.region.shapes import sphere_outline
from datasets.geometry.lens import Lens
from datasets.masks import pair_masks, read_mask
from datasets.region import Region
from utils.errors import DataError
from utils.files import replacing
from utils.images import read_image, write_png

log = logging.getLogger(__name__)
FOLDER = "masks"  # the loaders take these for the object
LOOSE_FOLDER = "masks_loose"  # no loader reads these: they say where the object may be, not where it is
_LEAST = 0.01  # share of the region's outline that an object covers; with less, nothing was found


@dataclass(frozen=True)
class MaskReport:
    """What masks were made."""

    kind: Literal["given", "rembg", "loose"]
    folder: str  # FOLDER or LOOSE_FOLDER
    num_masks: int
    num_images: int


def mask_name(image_name: str) -> str:
    """Where the mask of an image lies below its folder: a PNG of the same name, which `pair_masks` finds."""
    return Path(image_name).with_suffix(".png").as_posix()


def masks_in(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """The masks that this module wrote to a folder, by the names of their images; none where there is no folder."""
    paths = {name: folder / mask_name(name) for name in names}
    return {name: path for name, path in paths.items() if path.is_file()}


def given_masks(
    source: Path, originals: Mapping[str, str], lenses: Mapping[str, Lens], cloud: Cloud, out: Path
) -> MaskReport:
    """Writes the masks of a user's folder `source` to `out`/masks, as the undistorted cameras of `cloud` see them.

    originals: of all frames, by their names in the model, the names that masks may go by (of the photographs that they
    came from, or their own); lenses: of the frames before they were undistorted, by the same names. Masks of another
    size than the frames are resized. Raises DataError where none fits."""
    paths = {name: source / original for name, original in originals.items()}
    masks = pair_masks(list(paths.values()), source, source)
    wanted = [(view, name, masks.get(paths[name])) for view, name in enumerate(cloud.names)]
    found = [(view, name, mask) for view, name, mask in wanted if mask is not None]
    if not found:
        raise DataError(
            f"{source}: expected masks of the images that have a camera, got none of theirs. Add the mask of "
            f"{paths[cloud.names[0]].name}, or prepare without --masks."
        )
    for view, name, path in found:
        mask = _resized(read_mask(path), lenses[name].size, path)
        size = tuple(cloud.sizes[view].tolist())
        _write(out / FOLDER, name, lenses[name].seen_by(mask, cloud.intrinsics[view], size))
    log.info("%s: masks of %d of %d images", source, len(found), len(cloud.names))
    return MaskReport("given", FOLDER, len(found), len(cloud.names))


def auto_masks(region: Region, cloud: Cloud, images: Path, out: Path) -> MaskReport:
    """Writes masks made by rembg to `out`/masks, cut to the region; loose ones to `out`/masks_loose where rembg is
    missing or finds nothing in most images, and says why.

    images: the folder of the undistorted images. Raises DataError for an image that cannot be read."""
    cut = cutter()
    if cut is not None:
        found = dict(_cut_all(cut, region, cloud, images))
        if 2 * len(found) > len(cloud.names):
            for name, mask in found.items():
                _write(out / FOLDER, name, mask)
            left_out = len(cloud.names) - len(found)
            log.info("rembg: masks of %d images%s", len(found), f", nothing found in {left_out}" if left_out else "")
            return MaskReport("rembg", FOLDER, len(found), len(cloud.names))
        log.warning("rembg found an object in the region in %d of %d images only", len(found), len(cloud.names))
    return loose_masks(region, cloud, out)


def loose_masks(region: Region, cloud: Cloud, out: Path) -> MaskReport:
    """Writes the outline of the region above its ground, in each view, to `out`/masks_loose.

    Within such an outline there is background too. As alpha it would make the mask loss fill the whole sphere, so no
    loader reads this folder; it is for a look, and to start one's own masks from."""
    for view, name in enumerate(cloud.names):
        _write(out / LOOSE_FOLDER, name, loose_mask(region, cloud, view))
    log.warning(
        "loose masks, the outline of the region, are in %s/: training does not use them, since they hold background "
        "too. Correct them and put them into %s/, give a folder with --masks, or train without masks",
        *(LOOSE_FOLDER, FOLDER),
    )
    return MaskReport("loose", LOOSE_FOLDER, len(cloud.names), len(cloud.names))


def loose_mask(region: Region, cloud: Cloud, view: int) -> np.ndarray:
    """(H, W) uint8: 255 where the part of the region above the ground may be seen, 0 where it cannot."""
    size = tuple(cloud.sizes[view].tolist())
    around = sphere_outline(region, cloud, view, grounded=True)
    if around is not None:
        return filled(around, size)
    within = np.linalg.norm(cloud.c2w[view, :, 3] - region.center) <= region.radius
    return np.full((size[1], size[0]), 255 * within, np.uint8)


def _cut_all(
    cut: Callable[[np.ndarray], np.ndarray], region: Region, cloud: Cloud, images: Path
) -> Iterator[tuple[str, np.ndarray]]:
    """The images in which something is found within the region, and the masks of that."""
    for view, name in enumerate(cloud.names):
        loose = loose_mask(region, cloud, view)
        mask = np.minimum(cut(read_image(images / name)[..., :3]), loose)
        if (mask > 127).sum() > _LEAST * (loose > 127).sum():
            yield name, mask


def _resized(mask: np.ndarray, size: tuple[int, int], path: Path) -> np.ndarray:
    """The mask (H, W) at the size (w, h) of its frame. Raises DataError for another shape."""
    width, height = mask.shape[1], mask.shape[0]
    if abs(width * size[1] / (height * size[0]) - 1.0) > 0.01:
        raise DataError(
            f"{path}: expected a mask with the shape of its image, {size[0]}x{size[1]}, got {width}x{height}. Make "
            f"the masks from the images as they are given, upright and uncut."
        )
    return mask if (width, height) == size else cv2.resize(mask, size, interpolation=cv2.INTER_AREA)


def _write(folder: Path, image_name: str, mask: np.ndarray) -> None:
    with replacing(folder / mask_name(image_name)) as temporary:
        write_png(temporary, mask)
