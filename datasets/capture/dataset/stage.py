"""Stage `dataset`: writes further layouts where the user asks for them; the loader `colmap` reads what is there."""

from pathlib import Path
from typing import Any

from datasets.capture.dataset.layouts import write_neus, write_transforms
from datasets.capture.masks.mask_files import MASK_FOLDER, masks_in
from datasets.capture.options import CaptureOptions
from datasets.capture.sparse_model import read_sparse_model
from datasets.region import REGION_FILE, read_region


def write_layouts(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Writes neus/ and transforms.json as the options ask for them; returns the report. Raises DataError."""
    root = options.root
    model = read_sparse_model(root / "sparse" / "0")
    masks = masks_in(root / MASK_FOLDER, model.names)
    if options.neus:
        write_neus(read_region(root / REGION_FILE), model, root / "images", masks, working / "neus")
    if options.transforms:
        write_transforms(model, root / "images", masks, working / "transforms.json", root)
    layouts = ["colmap"] + ["neus"] * options.neus + ["transforms"] * options.transforms
    return {"images": len(model.names), "masks": len(masks), "layouts": layouts}
