"""The dataset of a capture in other layouts: that of NeuS, and the transforms.json of instant-ngp and nerfstudio.

Scale and frame are those of the cameras in either, so that meshes come out in the same coordinates."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datasets.capture.cloud import Cloud
from datasets.region import Region
from utils.files import replacing
from utils.images import read_image, write_png

log = logging.getLogger(__name__)


def write_neus(region: Region, cloud: Cloud, images: Path, masks: Mapping[str, Path], out: Path) -> int:
    """Writes image/000000.png ..., mask/000.png ... and cameras_sphere.npz to the folder `out`; returns the number.

    masks: by the names of the images; where there are any, images without one are left out, where there is none there
    is no mask/. The unit sphere of scale_mat_i is the region; world_mat_i puts pixel centres on integers, as NeuS does.
    Raises DataError for an image that cannot be read."""
    views = [view for view, name in enumerate(cloud.names) if not masks or name in masks]
    if not masks:
        log.info("  NeuS layout: no masks, so no mask/; NeuS itself asks for files there, white images will do")
    scale_mat = np.diag([region.radius] * 3 + [1.0])
    scale_mat[:3, 3] = region.center
    arrays = {}
    for number, view in enumerate(views):
        write_png(out / "image" / f"{number:06d}.png", read_image(images / cloud.names[view])[..., :3])
        if masks:
            write_png(out / "mask" / f"{number:03d}.png", read_image(masks[cloud.names[view]]))
        arrays |= {f"world_mat_{number}": world_mat(cloud, view), f"scale_mat_{number}": scale_mat}
    with replacing(out / "cameras_sphere.npz") as temporary:
        np.savez(temporary, **arrays)
    return len(views)


def world_mat(cloud: Cloud, view: int) -> np.ndarray:
    """(4, 4) float64 K [R | t] of a view over 0 0 0 1, world to pixel, with pixel centres on integers."""
    fx, fy, cx, cy = cloud.intrinsics[view]
    calibration = np.array([[fx, 0.0, cx - 0.5], [0.0, fy, cy - 0.5], [0.0, 0.0, 1.0]])
    rotation, position = cloud.c2w[view, :, :3].T, cloud.c2w[view, :, 3:]
    found = np.eye(4)
    found[:3] = calibration @ np.concatenate([rotation, -rotation @ position], axis=1)
    return found


def write_transforms(cloud: Cloud, images: Path, masks: Mapping[str, Path], path: Path, root: Path) -> None:
    """Writes a transforms.json to `path`, whose frames name files relative to `root`, in OpenGL axes.

    images: the folder of the images; masks: by their names, named as mask_path where there are any. Intrinsics are
    those of the file where all views share them, else of each frame."""
    lenses = [_lens(cloud, view) for view in range(len(cloud.names))]
    shared = lenses[0] if all(lens == lenses[0] for lens in lenses) else {}
    frames = []
    for view, name in enumerate(cloud.names):
        matrix = np.eye(4)
        matrix[:3] = cloud.c2w[view] * [1.0, -1.0, -1.0, 1.0]  # OpenCV -> OpenGL
        frame = {"file_path": (images / name).relative_to(root).as_posix()} | ({} if shared else lenses[view])
        if name in masks:
            frame["mask_path"] = masks[name].relative_to(root).as_posix()
        frames.append(frame | {"transform_matrix": matrix.tolist()})
    content = {"camera_model": "PINHOLE", **shared, "frames": frames}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _lens(cloud: Cloud, view: int) -> dict[str, Any]:
    """The intrinsics of a view under the names of the format; pixel centres lie at +1/2 there too."""
    values = dict(zip(("fl_x", "fl_y", "cx", "cy"), cloud.intrinsics[view].tolist(), strict=True))
    return values | dict(zip(("w", "h"), cloud.sizes[view].tolist(), strict=True))
