"""Loads a transforms.json of instant-ngp or nerfstudio, with lens distortion, masks and a sparse point cloud."""

import logging
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datasets.assemble import require_folder
from datasets.files.inside import require_inside
from datasets.files.transforms_json import (
    find_file,
    find_image,
    read_frames,
    read_lens,
    read_matrix,
    read_pose,
    read_shape,
)
from datasets.geometry.normalise import SparsePoints
from datasets.masks import MaskMeaning
from datasets.posed import PosedConfig, PosedLoader, PosedPhotos, View
from datasets.region import OBJECT_FILE
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

    def read(self) -> PosedPhotos:
        """See PosedLoader.read."""
        config: TransformsConfig = self.config
        require_folder(self.root, f"{config.file} and its images")
        path = self.root / config.file
        if not path.is_file():
            raise DataError(f"{path}: no such file. Set dataset.root_dir to its folder, or dataset.file to its name.")
        require_inside(self.root, [path], config.follow_links)
        meta, frames = read_frames(path)
        frames, images = self._with_image(frames, path)
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
        return PosedPhotos(tuple(views), self._sparse(meta, path), _user_from_file(meta, path), folder, means)

    def _with_image(self, frames: list[dict[str, Any]], path: Path) -> tuple[list[dict[str, Any]], list[Path]]:
        """The frames whose image exists, and their images; warns of the others. Raises DataError where none exists."""
        complete, images, error = [], [], None
        for frame in frames:
            try:
                images.append(find_image(self.root, frame, str(path)))
                complete.append(frame)
            except DataError as missing:
                error = error or missing
        if error and not complete:
            raise error
        if error:
            self._warn_once(
                f"leaving out {len(frames) - len(complete)} of {len(frames)} frames, which have no image ({error})"
            )
        return complete, images

    def _masks(
        self, meta: dict[str, Any], frames: list[dict[str, Any]], wheres: list[str], images: list[Path]
    ) -> tuple[dict[Path, Path], Path | None, MaskMeaning]:
        """The masks that frames name, else those in masks/, by their images; their folder, and what they mean."""
        named = {
            image: find_file(self.root, frame["mask_path"], "mask_path", where)
            for image, frame, where in zip(images, frames, wheres, strict=True)
            if frame.get("mask_path") and self.config.apply_mask
        }
        if not self.config.apply_mask and any(frame.get("mask_path") for frame in frames):
            self._warn_once("mask_path is not used (dataset.apply_mask=false)", logging.INFO)
        if not named:
            masks, folder = self.masks_in_folder(images, Path(os.path.commonpath([image.parent for image in images])))
            return masks, folder, self.meaning("object") if masks else "object"
        # prepare.py writes what its masks mean; before it did, its folders told by the sphere around the object
        is_object = meta.get("masks") == "object" or (self.root / OBJECT_FILE).is_file()
        means = self.meaning("object" if is_object else "ignore")
        if len(named) < len(images):
            count = f"{len(images) - len(named)} of {len(images)} frames, which have no mask_path"
            self._warn_once(f"leaving out {count}" if means == "object" else f"using all of {count}")
        return named, next(iter(named.values())).parent, means

    def _sparse(self, meta: dict[str, Any], path: Path) -> SparsePoints | None:
        """The point cloud of ply_file_path, as nerfstudio writes it; it has no track lengths."""
        if not meta.get("ply_file_path"):
            return None
        cloud = find_file(self.root, meta["ply_file_path"], "ply_file_path", str(path))
        require_inside(self.root, [cloud], self.config.follow_links)
        points = read_vertices(cloud)
        return SparsePoints(points, np.ones(len(points), dtype=np.int64)) if len(points) else None


def _user_from_file(meta: dict[str, Any], path: Path) -> np.ndarray | None:
    """(4, 4) that reverts nerfstudio's applied_transform and applied_scale, or None without them."""
    if "applied_transform" not in meta and "applied_scale" not in meta:
        return None
    applied = np.eye(4)
    if "applied_transform" in meta:
        applied[:3] = read_matrix(meta["applied_transform"], ((3, 4), (4, 4)), "applied_transform", str(path))[:3]
    scale = meta.get("applied_scale", 1.0)
    if not is_number(scale) or scale <= 0.0:
        raise DataError(f"{path}: expected applied_scale to be a number above 0, got {scale!r}.")
    applied[:3] *= scale
    if abs(np.linalg.det(applied[:3, :3])) < 1e-12:
        raise DataError(f"{path}: expected applied_transform to be invertible, got a singular matrix.")
    return np.linalg.inv(applied)
