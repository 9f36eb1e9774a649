"""Stage `masks`: masks of the object alone, made here unless the user brings them, and a picture of all of them."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from datasets.capture.frames.frame_list import read_frame_list
from datasets.capture.masks.contact_sheet import write_contact_sheet
from datasets.capture.masks.mask_files import CONTACT_SHEET, MASK_FOLDER, MaskReport, mask_name, masks_in, write_mask
from datasets.capture.masks.object_masks import NoObjectError, find_object
from datasets.capture.masks.rembg_masks import write_rembg_masks
from datasets.capture.masks.user_masks import write_user_masks
from datasets.capture.options import CaptureOptions
from datasets.capture.setup.record import SETUP_MASK_FOLDER, is_turntable
from datasets.capture.sparse_model import SparseModel, read_sparse_model
from datasets.capture.stage_runner import Workspace
from datasets.geometry.lens import Lens, lens_of
from datasets.region import OBJECT_FILE, REGION_FILE, read_region, write_region
from utils.images import read_image

log = logging.getLogger(__name__)
GOOD_AGREEMENT, GOOD_TOLD = 0.9, 0.4  # of masks: good ones had 0.95 and 0.45 at least


def write_masks(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Fills masks/ for the images of sparse/0, and masks.png, as the options ask for it; or masks_loose/, or nothing;
    returns the report. Raises DataError."""
    root = options.root
    if options.keep_scene or has_own_masks(root):
        return asdict(MaskReport("none", None, 0, 0))
    model = read_sparse_model(root / "sparse" / "0")
    read = partial(_read_photo, root / "images")
    if options.masks == "rembg":
        report = write_rembg_masks(read_region(root / REGION_FILE), model, root / "images", working)
    elif options.mask_folder is None:
        report = _carve_masks(root, model, working)
    else:
        frames, is_video = read_frame_list(root)
        originals = {frame.name: frame.name if is_video else frame.source for frame in frames}
        report = write_user_masks(options.mask_folder, originals, dict(_lenses(root)), model, working)
    if report.folder == MASK_FOLDER:
        paths = masks_in(working / MASK_FOLDER, model.names)
        masks = {name: read_image(path)[..., 0] for name, path in paths.items()}
        write_contact_sheet(model.names, masks, read, working / CONTACT_SHEET)
        log.info("  %s: look at it; correct a mask in %s/ with any painting program", CONTACT_SHEET, MASK_FOLDER)
    return asdict(report)


def has_own_masks(root: Path) -> bool:
    """Whether masks/ of a prepared folder is the user's: it exists, and no stage wrote it."""
    return (root / MASK_FOLDER).exists() and not Workspace(root).wrote(MASK_FOLDER)


def _carve_masks(root: Path, model: SparseModel, working: Path) -> MaskReport:
    region = read_region(root / REGION_FILE)
    turning = _turning(root, model)
    try:
        result = find_object(region, model, partial(_read_photo, root / "images"), turning)
    except NoObjectError as error:
        log.warning(
            "masks: %s. So there are no masks, and training keeps the scene around the object. To get the object "
            "alone, give masks with --masks FOLDER, or put it on a table and photograph it from all sides, from above "
            "too",
            error,
        )
        return MaskReport("none", None, 0, len(model.names), reason=str(error))
    for name, mask in zip(model.names, result.masks, strict=True):
        write_mask(working / MASK_FOLDER, name, mask)
    write_region(result.region, working / OBJECT_FILE)
    log.info("  masks of %d images; they agree with each other by %.1f %%", len(result.masks), 100.0 * result.agreement)
    if result.agreement < GOOD_AGREEMENT or result.told < GOOD_TOLD:
        log.warning(
            "the masks are doubtful: they agree with each other by %.0f %%, and at %.0f %% of their outlines the object"
            " differs from what is behind it. Look at %s",
            *(100.0 * result.agreement, 100.0 * result.told, CONTACT_SHEET),
        )
    return MaskReport("carved", MASK_FOLDER, len(result.masks), len(model.names), result.agreement, result.told)


def _turning(root: Path, model: SparseModel) -> Mapping[str, np.ndarray] | None:
    """By name, the mask (H, W) uint8 of what turns on a turntable, as the undistorted camera sees it; None where the
    camera moved."""
    folder = root / SETUP_MASK_FOLDER
    if not is_turntable(root):
        return None
    lenses = dict(_lenses(root))
    turning = {}
    for view, name in enumerate(model.names):
        mask = read_image(folder / mask_name(name))[..., 0]
        turning[name] = lenses[name].seen_by(mask, model.intrinsics[view], tuple(model.sizes[view].tolist()))
    return turning


def _lenses(root: Path) -> Iterator[tuple[str, Lens]]:
    """The name and the lens of each frame that has a camera, before undistortion."""
    distorted = pycolmap.Reconstruction(root / "poses" / "models" / "0")
    for image_id in distorted.reg_image_ids():
        image = distorted.images[image_id]
        yield image.name, lens_of(distorted.cameras[image.camera_id])


def _read_photo(folder: Path, name: str) -> np.ndarray:
    return read_image(folder / name)[..., :3]
