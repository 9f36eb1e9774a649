"""Writes a prepared capture in other layouts: that of NeuS, and the transforms.json of instant-ngp and nerfstudio.

Both keep the scale and the frame of the cameras, so that meshes come out in the same coordinates."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datasets.capture.sparse_model import SparseModel
from datasets.region import Region
from utils.files import replacing
from utils.images import read_image, write_png

log = logging.getLogger(__name__)


def write_neus(region: Region, model: SparseModel, images: Path, masks: Mapping[str, Path], out: Path) -> int:
    """Writes image/000000.png ..., mask/000.png ... and cameras_sphere.npz to the folder `out`; returns the number of
    images.

    masks: by the names of the images; leaves out images without a mask where others have one, and writes no mask/ where
    none has. The unit sphere of scale_mat_i is the region; world_mat_i puts pixel centres on integers, as NeuS does.
    Raises DataError for an image that cannot be read."""
    views = [view for view, name in enumerate(model.names) if not masks or name in masks]
    if not masks:
        log.info("  NeuS layout: no masks, so no mask/. NeuS itself expects files there; white images will do")
    scale_mat = np.diag([region.radius] * 3 + [1.0])
    scale_mat[:3, 3] = region.center
    arrays = {}
    for number, view in enumerate(views):
        write_png(out / "image" / f"{number:06d}.png", read_image(images / model.names[view])[..., :3])
        if masks:
            write_png(out / "mask" / f"{number:03d}.png", read_image(masks[model.names[view]]))
        arrays |= {f"world_mat_{number}": world_mat(model, view), f"scale_mat_{number}": scale_mat}
    with replacing(out / "cameras_sphere.npz") as temporary:
        np.savez(temporary, **arrays)
    return len(views)


def world_mat(model: SparseModel, view: int) -> np.ndarray:
    """(4, 4) float64 K [R | t] of a view over 0 0 0 1, world to pixel, with pixel centres on integers."""
    fx, fy, cx, cy = model.intrinsics[view]
    calibration = np.array([[fx, 0.0, cx - 0.5], [0.0, fy, cy - 0.5], [0.0, 0.0, 1.0]])
    rotation, position = model.c2w[view, :, :3].T, model.c2w[view, :, 3:]
    projection = np.eye(4)
    projection[:3] = calibration @ np.concatenate([rotation, -rotation @ position], axis=1)
    return projection


def write_transforms(model: SparseModel, images: Path, masks: Mapping[str, Path], path: Path, root: Path) -> None:
    """Writes a transforms.json to `path`, whose frames name files relative to `root`, in OpenGL axes.

    images: the folder of the images; masks: by the names of the images, written as mask_path of each frame that has
    one, and as those of an object for the reader of this program. Writes the intrinsics once for the file where all
    views share them, else for each frame."""
    all_intrinsics = [_intrinsics(model, view) for view in range(len(model.names))]
    shared = all_intrinsics[0] if all(values == all_intrinsics[0] for values in all_intrinsics) else {}
    frames = []
    for view, name in enumerate(model.names):
        matrix = np.eye(4)
        matrix[:3] = model.c2w[view] * [1.0, -1.0, -1.0, 1.0]  # OpenCV -> OpenGL
        frame = {"file_path": (images / name).relative_to(root).as_posix()} | ({} if shared else all_intrinsics[view])
        if name in masks:
            frame["mask_path"] = masks[name].relative_to(root).as_posix()
        frames.append(frame | {"transform_matrix": matrix.tolist()})
    content = {"camera_model": "PINHOLE", **shared, **({"masks": "object"} if masks else {}), "frames": frames}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _intrinsics(model: SparseModel, view: int) -> dict[str, Any]:
    """The intrinsics of a view under the keys of the format, which has its pixel centres at +1/2 too."""
    values = dict(zip(("fl_x", "fl_y", "cx", "cy"), model.intrinsics[view].tolist(), strict=True))
    return values | dict(zip(("w", "h"), model.sizes[view].tolist(), strict=True))
