"""Stage `undistort`: the images as pinhole cameras see them, and the model that belongs to them."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from datasets.capture.options import CaptureOptions
from datasets.files.quiet_colmap import quiet

log = logging.getLogger(__name__)


def undistort_images(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Fills images/ and sparse/0 from poses/; returns the report."""
    model = pycolmap.Reconstruction(options.root / "poses" / "models" / "0")
    if options.scale is not None:
        model.transform(pycolmap.Sim3d(options.scale, pycolmap.Rotation3d(), np.zeros(3)))
    source, target = working / "model", working / "undistorted"
    source.mkdir()
    model.write(source)
    with quiet():
        pycolmap.undistort_images(target, source, options.root / "frames", jpeg_quality=95)
    os.replace(target / "images", working / "images")
    (working / "sparse").mkdir()
    os.replace(target / "sparse", working / "sparse" / "0")
    shutil.rmtree(target)
    shutil.rmtree(source)
    undistorted = pycolmap.Reconstruction(working / "sparse" / "0")
    num_images = undistorted.num_reg_images()
    sizes = sorted({(camera.width, camera.height) for camera in undistorted.cameras.values()})
    log.info("  %d images; %s", num_images, ", ".join(f"{width}x{height}" for width, height in sizes))
    return {"images": num_images, "sizes": sizes, "metres_per_unit": options.scale}
