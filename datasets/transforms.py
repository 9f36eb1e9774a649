"""Loads a transforms.json of instant-ngp or nerfstudio, with lens distortion, masks and a sparse point cloud."""

import logging
import os
from dataclasses import dataclass
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from datasets.assemble import require_folder
from datasets.files.frames import (
    SPHERE_KEYS,
    SPLIT_KEYS,
    first_folders,
    local_names,
    name_unused_keys,
    split_images,
    usable_frames,
)
from datasets.files.inside import require_inside
from datasets.files.json_files import to_number, to_vector
from datasets.files.names import is_absolute
from datasets.files.transforms_json import (
    MissingFileError,
    find_file,
    read_frames,
    read_lens,
    read_matrix,
    read_pose,
    read_shape,
)
from datasets.geometry.normalise import SparsePoints
from datasets.masks import MaskMeaning
from datasets.options import HOLDOUT
from datasets.posed import PosedConfig, PosedLoader, PosedPhotos, View
from utils.config.mask_choice import shows_object
from utils.config.schema import is_number
from utils.errors import DataError
from utils.mesh.ply import read_vertices
from utils.registry import register


@register("dataset", "transforms", builds="datasets.transforms:TransformsLoader")
@dataclass(frozen=True)
class TransformsConfig(PosedConfig):
    """One transforms.json with shared or per-frame cameras, as instant-ngp and nerfstudio write it."""

    file: str = "transforms.json"  # below root_dir


class TransformsLoader(PosedLoader):
    """Reads the frames in the order of the file."""

    z_is_up = True

    def read(self) -> PosedPhotos:
        """See PosedLoader.read."""
        config: TransformsConfig = self.config
        require_folder(self.root, f"{config.file} and its images")
        path = self.root / config.file
        if not path.is_file():
            raise DataError(f"{path}: no such file. Set dataset.root_dir to its folder, or dataset.file to its name.")
        require_inside(self.root, [path], config.follow_links)
        meta, frames = read_frames(path)
        name_unused_keys(self.unused, path, meta, frames, splits_in_files=False)
        frames, images = usable_frames(self.root, path, frames, meta, self._warn_once)
        splits = self._splits(path, meta, frames, images)
        if splits is not None:
            listed = [any(image in split for split in splits.values()) for image in images]
            frames, images = list(compress(frames, listed)), list(compress(images, listed))
        wheres = [f"{path}, frame '{frame.get('file_path')}'" for frame in frames]
        masks, folder, means = self._masks(meta, frames, wheres, images)
        views = [
            View(
                *(image, read_pose(frame, where), partial(read_lens, meta, frame, where), masks.get(image)),
                read_shape(meta, frame, where),
            )
            for image, frame, where in zip(images, frames, wheres, strict=True)
            if not masks or image in masks or means == "ignore"
        ]
        used = [config.file, Path(str(meta.get("ply_file_path"))).name]
        self.unused.files([*used, *first_folders([*images, *masks.values()], self.root)])
        return PosedPhotos(
            *(
                tuple(views),
                self._sparse(meta, path),
                _user_from_file(meta, path),
                folder,
                means,
                splits,
                _sphere(meta, path),
            )
        )

    def _splits(
        self, path: Path, meta: dict[str, Any], frames: list[dict[str, Any]], images: list[Path]
    ) -> dict[str, frozenset[Path]] | None:
        """The images of each split, where the file lists them and dataset.holdout is left at its default."""
        if self.config.holdout == HOLDOUT:
            return split_images(path, meta, frames, images, self._warn_once)
        if any(meta.get(key) for key in SPLIT_KEYS):
            self._warn_once(f"dataset.holdout is set, so {', '.join(SPLIT_KEYS)} of {path.name} are not used")
        return None

    def _masks(
        self, meta: dict[str, Any], frames: list[dict[str, Any]], wheres: list[str], images: list[Path]
    ) -> tuple[dict[Path, Path], Path | None, MaskMeaning]:
        """The masks that frames name, else those in masks/, by their images; their folder, and what they mean."""
        if not any(frame.get("mask_path") for frame in frames):
            return self.masks_in_folder(images, Path(os.path.commonpath([image.parent for image in images])))
        means = self.meaning("object" if shows_object(meta, self.root) else "ignore")
        if means is None:
            self._warn_once("mask_path is not used (dataset.apply_mask=false)", logging.INFO)
            return {}, None, "object"
        local = local_names(self.root, frames, "mask_path")
        named = {
            image: find_file(self.root, local.get(frame["mask_path"], frame["mask_path"]), "mask_path", where)
            for image, frame, where in zip(images, frames, wheres, strict=True)
            if frame.get("mask_path")
        }
        if len(named) < len(images):
            count = f"{len(images) - len(named)} of {len(images)} frames, which have no mask_path"
            self._warn_once(f"leaving out {count}" if means == "object" else f"using all of {count}")
        return named, next(iter(named.values())).parent, means

    def _sparse(self, meta: dict[str, Any], path: Path) -> SparsePoints | None:
        """The point cloud of ply_file_path, as nerfstudio writes it; it has no track lengths."""
        if not meta.get("ply_file_path"):
            return None
        name = meta["ply_file_path"]
        if (
            isinstance(name, str)
            and is_absolute(name)
            and (self.root / name.replace("\\", "/").split("/")[-1]).is_file()
        ):
            name = name.replace("\\", "/").split("/")[-1]  # of another machine
        try:
            cloud = find_file(self.root, name, "ply_file_path", str(path))
        except MissingFileError:
            self._warn_once(
                f"no file for ply_file_path '{name}' of {path.name}, so the size of the object is a guess, without its "
                f"points. Copy the file there, or set dataset.object_radius"
            )
            return None
        require_inside(self.root, [cloud], self.config.follow_links)
        points = read_vertices(cloud)
        return SparsePoints(points, np.ones(len(points), dtype=np.int64)) if len(points) else None


def _sphere(meta: dict[str, Any], path: Path) -> tuple[np.ndarray, float] | None:
    """Centre (3,) and radius of the sphere around the object, as neuralangelo writes it; None without both keys."""
    if any(meta.get(key) is None for key in SPHERE_KEYS):
        return None
    centre, radius = (meta[key] for key in SPHERE_KEYS)
    found = to_vector(centre, SPHERE_KEYS[0], str(path)), to_number(radius, SPHERE_KEYS[1], str(path))
    if found[1] <= 0.0:
        raise DataError(f"{path}: expected {SPHERE_KEYS[1]} to be a length above 0, got {radius!r}.")
    return found


def _user_from_file(meta: dict[str, Any], path: Path) -> np.ndarray | None:
    """(4, 4) that reverts nerfstudio's applied_transform and applied_scale, or None without them."""
    if meta.get("applied_transform") is None and meta.get("applied_scale") is None:
        return None
    applied = np.eye(4)
    if meta.get("applied_transform") is not None:
        applied[:3] = read_matrix(meta["applied_transform"], ((3, 4), (4, 4)), "applied_transform", str(path))[:3]
    scale = 1.0 if meta.get("applied_scale") is None else meta["applied_scale"]
    if not is_number(scale) or scale <= 0.0:
        raise DataError(f"{path}: expected applied_scale to be a number above 0, got {scale!r}.")
    if np.linalg.cond(applied[:3, :3]) > 1e6:  # whatever its scale
        raise DataError(f"{path}: expected applied_transform to be invertible, got a singular matrix.")
    applied[:3] *= scale
    return np.linalg.inv(applied)
