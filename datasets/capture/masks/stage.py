"""Stage `masks`: what tells the object from the rest, where the user wants that."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pycolmap

from datasets.capture.cloud import cloud_of
from datasets.capture.frames.stage import read_frame_list
from datasets.capture.masks.sources import auto_masks, given_masks
from datasets.capture.options import CaptureOptions
from datasets.geometry.lens import lens_of
from datasets.region import FILE, read_region


def run(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Fills masks/ or masks_loose/ for the images of sparse/0, or neither; returns the report. Raises DataError."""
    if options.masks is None:
        return {"kind": None}
    root = options.root
    cloud = cloud_of(pycolmap.Reconstruction(root / "sparse" / "0"))
    if options.mask_folder is None:
        return asdict(auto_masks(read_region(root / FILE), cloud, root / "images", working))
    frames, video = read_frame_list(root)
    originals = {frame.name: frame.name if video else frame.source for frame in frames}
    model = pycolmap.Reconstruction(root / "poses" / "models" / "0")
    lenses = {model.images[i].name: lens_of(model.cameras[model.images[i].camera_id]) for i in model.reg_image_ids()}
    return asdict(given_masks(options.mask_folder, originals, lenses, cloud, working))
