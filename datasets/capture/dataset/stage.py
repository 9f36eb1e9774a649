"""Stage `dataset`: what `colmap` reads is there, the other layouts are written where they are wanted."""

from pathlib import Path
from typing import Any

import pycolmap

from datasets.capture.cloud import cloud_of
from datasets.capture.dataset.layouts import write_neus, write_transforms
from datasets.capture.masks.sources import FOLDER, mask_name
from datasets.capture.options import CaptureOptions
from datasets.region import FILE, read_region


def run(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Writes neus/ and transforms.json as the options say; returns the report. Raises DataError."""
    root = options.root
    cloud = cloud_of(pycolmap.Reconstruction(root / "sparse" / "0"))
    found = {name: root / FOLDER / mask_name(name) for name in cloud.names}
    masks = {name: path for name, path in found.items() if path.is_file()}
    if options.neus:
        write_neus(read_region(root / FILE), cloud, root / "images", masks, working / "neus")
    if options.transforms:
        write_transforms(cloud, root / "images", masks, working / "transforms.json", root)
    layouts = ["colmap"] + ["neus"] * options.neus + ["transforms"] * options.transforms
    return {"images": len(cloud.names), "masks": len(masks), "layouts": layouts}
