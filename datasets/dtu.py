"""Loads scenes in the NeuS layout (DTU, BlendedMVS, own captures): image/, mask/ and cameras_sphere.npz; or IDR's."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from datasets.assemble import (
    HOLDOUT,
    Holdout,
    Resolution,
    check_holdout,
    hold_out,
    list_images,
    load_photos,
    require_folder,
)
from datasets.projection import fit_to_images, read_cameras
from datasets.scene import Scene
from utils.errors import ConfigError, DataError
from utils.images import read_image
from utils.registry import register

log = logging.getLogger(__name__)
Split = Literal["train", "val", "test"]


@register("dataset", "dtu", builds="datasets.dtu:DTULoader")
@dataclass(frozen=True)
class DTUConfig:
    """A folder in the NeuS layout; images keep their size unless img_wh or img_downscale says otherwise."""

    root_dir: str
    scene: str | None = None  # name of the scene, for experiment names and root_dir: ${dataset.scene}
    cameras_file: str = "cameras_sphere.npz"  # where that is missing, cameras.npz of the IDR layout
    img_wh: tuple[int, int] | None = None  # width, height in pixels
    img_downscale: float | None = None  # or a factor >= 1
    apply_mask: bool = True  # the masks, where there are any, become the alpha of the images
    holdout: Holdout = HOLDOUT  # every so many-th view is kept for val and test, or a list of views; 0: none
    train_split: Split = "train"
    val_split: Split = "val"  # val and test are the same held-out views
    test_split: Split = "test"
    n_test_traj_steps: int = 60  # frames of the orbit video; 0: the video shows the test views

    def __post_init__(self) -> None:
        Resolution(self.img_wh, self.img_downscale)
        check_holdout(self.holdout)
        if self.n_test_traj_steps < 0:
            raise ConfigError(f"dataset.n_test_traj_steps: expected 0 or more, got {self.n_test_traj_steps}.")


@register("dataset", "bmvs", builds="datasets.dtu:DTULoader")
@dataclass(frozen=True)
class BMVSConfig(DTUConfig):
    """BlendedMVS in the NeuS layout: as `dtu`, under the name that its users know."""


class DTULoader:
    """Reads one split at a time, in the frame where the object fills the unit sphere."""

    def __init__(self, config: DTUConfig) -> None:
        self.config = config
        self.root = Path(config.root_dir)
        self._said: set[str] = set()

    def _say(self, text: str) -> None:
        """Warns of the scene, once for all splits."""
        if text not in self._said:
            log.warning("%s: %s", self.root, text)
        self._said.add(text)

    @cached_property
    def cameras_path(self) -> Path:
        """The file of the cameras: the one asked for, or IDR's where the default is missing."""
        path, idr = self.root / self.config.cameras_file, self.root / "cameras.npz"
        if path.is_file() or self.config.cameras_file != DTUConfig.cameras_file or not idr.is_file():
            return path
        self._say(f"no {path.name}, so the cameras are those of {idr.name}")
        return idr

    def load(self, split: str) -> Scene:
        """The scene of "train", "val" or "test"; masks are its alpha. Raises DataError."""
        config = self.config
        require_folder(self.root, f"image/, mask/ and {config.cameras_file}")
        images = list_images(self.root / "image")
        cameras = read_cameras(self.cameras_path)
        views = self._camera_of_each(images, len(cameras.c2w))
        chosen = self._choose(split, len(images))
        masks = self._pair_masks(images) if config.apply_mask else {}
        photos = load_photos(
            [images[i] for i in chosen],
            lambda path: _read_view(path, masks.get(path)),
            Resolution(config.img_wh, config.img_downscale),
        )
        index = [views[i] for i in chosen]
        scene = Scene(
            name=config.scene or self.root.resolve().name,
            pixels=photos.pixels,
            sizes=photos.sizes,
            c2w=cameras.c2w[index].astype(np.float32),
            intrinsics=photos.scale_intrinsics(
                fit_to_images(cameras.intrinsics[index], photos.disk_sizes, str(self.cameras_path))
            ),
            image_names=tuple(images[i].name for i in chosen),
            world_from_scene=cameras.world_from_scene,
            orbit_views=config.n_test_traj_steps,
        )
        if masks:
            check_masks(scene, self.root / "mask")
        return scene

    def _choose(self, split: str, num_images: int) -> list[int]:
        """Indices of the images of a split."""
        wanted = getattr(self.config, f"{split}_split")
        if self.config.holdout == 0:
            if wanted != "train":
                self._say(f"dataset.holdout=0, so {split} shows views that were trained on")
            return list(range(num_images))
        return hold_out(num_images, self.config.holdout, held=wanted != "train")

    def _camera_of_each(self, images: list[Path], num_cameras: int) -> list[int]:
        """Index of each image's camera: its place in the sorted folder, or its number where images are left out."""
        if len(images) == num_cameras:
            return list(range(num_cameras))
        numbers = [int(path.stem) if path.stem.isdigit() else num_cameras for path in images]
        if len(images) > num_cameras or max(numbers) >= num_cameras or len(set(numbers)) < len(numbers):
            raise DataError(
                f"{self.cameras_path}: expected one world_mat_i for each image, got {num_cameras} for {len(images)} "
                f"images in {self.root / 'image'}. Remove the images that have no camera; images may only be left out "
                f"when their names are the numbers of their cameras (000.png is i = 0)."
            )
        log.info("%s: %d of %d cameras have an image; paired by number", self.root, len(images), num_cameras)
        return numbers

    def _pair_masks(self, images: list[Path]) -> dict[Path, Path]:
        """The mask of each image, found by name, by number (000000.png with 000.png) or by place in the folder; none
        where there is no folder of masks."""
        folder = self.root / "mask"
        if not folder.is_dir():
            self._say("no mask/, so the images are used whole; dataset.apply_mask=false says that this is meant")
            return {}
        masks = list_images(folder)
        by_stem = {path.stem: path for path in masks}
        by_number = {int(path.stem): path for path in masks if path.stem.isdigit()}
        paired = {}
        for image in images:
            number = int(image.stem) if image.stem.isdigit() else -1
            paired[image] = by_stem.get(image.stem) or by_stem.get(image.name) or by_number.get(number)
        missing = [image.name for image, mask in paired.items() if mask is None]
        if not missing:
            return paired
        if len(missing) == len(images) == len(masks):
            log.info("%s: no mask is named like its image; paired in the order of their names", self.root)
            return dict(zip(images, masks, strict=True))
        raise DataError(
            f"{folder}: no mask for {len(missing)} of {len(images)} images, first {missing[0]}. Tried the same name, "
            f"the same number, and the order of names ({len(masks)} masks). Add it, or set dataset.apply_mask=false."
        )


def _read_view(image_path: Path, mask_path: Path | None) -> np.ndarray:
    """(H, W, 3) image, or (H, W, 4) with its mask as alpha."""
    image = read_image(image_path)[..., :3]
    if mask_path is None:
        return image
    mask = read_image(mask_path)
    alpha = mask[..., :3].max(axis=2)
    if mask.shape[2] == 4:
        alpha = np.minimum(alpha, mask[..., 3])
    if alpha.shape != image.shape[:2]:
        raise DataError(
            f"{mask_path}: expected the size of {image_path.name}, {image.shape[1]}x{image.shape[0]}, got "
            f"{alpha.shape[1]}x{alpha.shape[0]}. Resize the mask, or set dataset.apply_mask=false."
        )
    if not alpha.any():
        raise DataError(
            f"{mask_path}: expected a mask that is white on the object, got one that is black everywhere. Mend it, "
            f"remove {image_path.name} and its mask, or set dataset.apply_mask=false."
        )
    alpha = alpha * 255 if alpha.max() == 1 else alpha  # stored as 0 and 1
    return np.dstack([image, alpha])


def check_masks(scene: Scene, folder: Path) -> None:
    """Raises DataError when the masks of a scene cover everything, or the surroundings instead of the object."""
    if not scene.has_alpha:
        raise DataError(
            f"{folder}: every mask is white everywhere, so none says anything. Set dataset.apply_mask=false."
        )
    border, centre = [], []
    for index in range(len(scene)):
        alpha = scene.image(index)[..., 3] / 255.0
        height, width = alpha.shape
        border.append(np.mean([alpha[0].mean(), alpha[-1].mean(), alpha[:, 0].mean(), alpha[:, -1].mean()]))
        centre.append(alpha[height // 3 : max(2 * height // 3, 1), width // 3 : max(2 * width // 3, 1)].mean())
    if np.mean(border) > np.mean(centre) + 0.3:
        raise DataError(
            f"{folder}: the masks look inverted: on average {np.mean(border):.0%} of the image border is white, but "
            f"only {np.mean(centre):.0%} of the middle. White must mean object. Invert them, "
            f"or set dataset.apply_mask=false."
        )
