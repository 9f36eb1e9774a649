"""Stage `masks`: writes masks of the object where the user asks for them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pycolmap

from datasets.capture.frames.frame_list import read_frame_list
from datasets.capture.masks.automatic_masks import write_automatic_masks
from datasets.capture.masks.user_masks import write_user_masks
from datasets.capture.options import CaptureOptions
from datasets.capture.sparse_model import read_sparse_model
from datasets.geometry.lens import lens_of
from datasets.region import REGION_FILE, read_region


def write_masks(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Fills masks/ or masks_loose/ for the images of sparse/0, or neither; returns the report. Raises DataError."""
    if options.masks is None:
        return {"kind": None}
    root = options.root
    model = read_sparse_model(root / "sparse" / "0")
    if options.mask_folder is None:
        return asdict(write_automatic_masks(read_region(root / REGION_FILE), model, root / "images", working))
    frames, is_video = read_frame_list(root)
    originals = {frame.name: frame.name if is_video else frame.source for frame in frames}
    distorted = pycolmap.Reconstruction(root / "poses" / "models" / "0")
    images = [distorted.images[i] for i in distorted.reg_image_ids()]
    lenses = {image.name: lens_of(distorted.cameras[image.camera_id]) for image in images}
    return asdict(write_user_masks(options.mask_folder, originals, lenses, model, working))
