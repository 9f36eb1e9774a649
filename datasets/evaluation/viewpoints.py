"""The cameras of a scene on disk in world coordinates, with masks, to tell which parts of a surface they can see."""

from pathlib import Path

import numpy as np

from datasets.blender import BlenderConfig, BlenderLoader
from datasets.dtu import DTUConfig, DTULoader
from datasets.geometry.normalise import move_cameras
from datasets.scene import SceneLoader
from datasets.transforms import TransformsConfig, TransformsLoader
from utils.errors import DataError
from utils.mesh.visibility import Viewpoint, object_mask


def read_viewpoints(path: Path, masks: bool, grow: int) -> list[Viewpoint]:
    """All cameras of a file, with the images beside it: a NeuS .npz, a transforms_*.json of NeRF-Synthetic, or another
    .json of instant-ngp or nerfstudio.

    masks: whether to use the masks or the alpha of the images; grow: pixels to dilate them by. Raises DataError for
    files that do not fit."""
    scene = _loader(path, masks).load("train")
    c2w = move_cameras(scene.c2w.astype(np.float64), scene.world_from_scene)
    return [
        Viewpoint(
            pose,
            intrinsics.astype(np.float64),
            tuple(size),
            object_mask(scene.image(i), grow) if masks and scene.has_alpha else None,
        )
        for i, (pose, intrinsics, size) in enumerate(zip(c2w, scene.intrinsics, scene.sizes.tolist(), strict=True))
    ]


def _loader(path: Path, masks: bool) -> SceneLoader:
    """The loader of the folder that contains a file of cameras; it makes every view a training view."""
    if not path.is_file():
        raise DataError(f"{path}: no such file. Give cameras_sphere.npz or transforms_train.json beside its images.")
    root = str(path.resolve().parent)
    if path.suffix == ".npz":
        return DTULoader(DTUConfig(root, cameras_file=path.name, apply_mask=masks, holdout=0))
    if path.suffix != ".json":
        raise DataError(
            f"{path}: expected cameras as .npz (NeuS) or .json (transforms), got {path.suffix or 'neither'}."
        )
    if path.stem.startswith("transforms_"):
        return BlenderLoader(BlenderConfig(root, train_split=path.stem.removeprefix("transforms_"), holdout=0))
    means = "auto" if masks else "object"  # which are not read then
    return TransformsLoader(TransformsConfig(root, file=path.name, apply_mask=masks, masks=means, holdout=0))
