"""Stage `undistort`: the images as pinhole cameras see them, and the model that belongs to them, upright."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from datasets.capture.known_length import size_by_length
from datasets.capture.levelling import Levelling, find_levelling
from datasets.capture.options import CaptureOptions
from datasets.capture.setup.record import is_turntable
from datasets.capture.sparse_model import SparseModel, to_sparse_model
from datasets.capture.true_size import SCALE_FILE, TrueSize, find_true_size, write_scale
from datasets.files.quiet_colmap import quiet
from utils.files import replace

log = logging.getLogger(__name__)


def undistort_images(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Fills images/ and sparse/0 from poses/, and scale.json where metres are known; returns the report."""
    target = working / "undistorted"
    with quiet():
        pycolmap.undistort_images(
            target, options.root / "poses" / "models" / "0", options.root / "frames", jpeg_quality=95
        )
    replace(target / "images", working / "images")
    model = pycolmap.Reconstruction(target / "sparse")
    shutil.rmtree(target)
    levelling = find_levelling(to_sparse_model(model), is_turntable(options.root))
    size = _true_size(options, to_sparse_model(model), working / "images")
    scale = options.scale if size is None else size.metres_per_unit
    move(model, levelling, scale or 1.0)
    sparse = working / "sparse" / "0"
    sparse.mkdir(parents=True)
    model.write(sparse)
    told = {} if scale is None else {"scale": write_scale(working / SCALE_FILE, scale, size)}
    num_images = model.num_reg_images()
    sizes = sorted({(camera.width, camera.height) for camera in model.cameras.values()})
    log.info("  %d images; %s", num_images, ", ".join(f"{width}x{height}" for width, height in sizes))
    if levelling is not None:
        log.info("  upright: %s", "the support plane is z = 0" if levelling.on_ground else "no support plane found")
    return {
        "images": num_images,
        "sizes": sizes,
        "metres_per_unit": scale,
        **told,
        "upright": levelling is not None,
        "support_plane": levelling is not None and levelling.on_ground,
    }


def _true_size(options: CaptureOptions, model: SparseModel, images: Path) -> TrueSize | None:
    """What the known length says, else the scale sheet; None where --scale is given or neither is there."""
    if options.scale is not None:
        return None
    if options.known_length is not None:
        return size_by_length(model, options.known_length)
    return find_true_size(model, images, options.ruler)


def move(model: pycolmap.Reconstruction, levelling: Levelling | None, scale: float) -> None:
    """Moves the cameras and points of a model into its upright frame, if there is one, and scales them."""
    rotation, translation = np.eye(3), np.zeros(3)
    if levelling is not None:
        rotation, translation = levelling.rotation, levelling.translation
    model.transform(pycolmap.Sim3d(scale, pycolmap.Rotation3d(rotation), scale * translation))
