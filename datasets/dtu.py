"""Loads scenes in the NeuS layout (DTU, BlendedMVS, your own): image/, mask/ and cameras_sphere.npz; or IDR's."""

import logging
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from datasets.assemble import WarnOnce, choose_views, list_images, load_photos, require_folder
from datasets.files.inside import require_inside
from datasets.files.neus_cameras import read_neus_cameras
from datasets.files.orientation import CameraShape, Orientation, orientation_of, say_orientations
from datasets.geometry.projection import CamerasFor, fit_to_images
from datasets.geometry.silhouettes import told_by_masks
from datasets.masks import check_masks, pair_masks, read_masked
from datasets.options import UnsplitFolderConfig
from datasets.scene import Scene
from utils.errors import DataError
from utils.registry import register

log = logging.getLogger(__name__)
MAX_TOLD_BY = 64  # masks that tell whether images were cropped or resized


@register("dataset", "dtu", builds="datasets.dtu:DTULoader")
@dataclass(frozen=True)
class DTUConfig(UnsplitFolderConfig):
    """A folder in the NeuS layout."""

    cameras_file: str = "cameras_sphere.npz"  # if it is missing, cameras.npz of the IDR layout
    # what the cameras are for: "images", those on disk as they are, cropped or not; "resized": images of another size,
    # a whole multiple or fraction; "auto": the first where the principal point is near the centre, else as masks tell
    cameras_for: CamerasFor = "auto"


@register("dataset", "bmvs", builds="datasets.dtu:DTULoader")
@dataclass(frozen=True)
class BMVSConfig(DTUConfig):
    """BlendedMVS in the NeuS layout: as `dtu`, under the name that its users know."""


class DTULoader:
    """Reads one split at a time, in the frame where the object fills the unit sphere."""

    def __init__(self, config: DTUConfig) -> None:
        self.config = config
        self.root = Path(config.root_dir)
        self._warn_once = WarnOnce(self.root)
        self.masks = cache(self._masks)
        self._scene = cache(self._load)

    @cached_property
    def cameras_path(self) -> Path:
        """The file of the cameras: dataset.cameras_file, or IDR's where the default is missing."""
        path, idr = self.root / self.config.cameras_file, self.root / "cameras.npz"
        if path.is_file() or self.config.cameras_file != DTUConfig.cameras_file or not idr.is_file():
            return path
        self._warn_once(f"no {path.name}, so the cameras come from {idr.name}")
        return idr

    def load(self, split: str) -> Scene:
        """The scene of "train", "val" or "test"; masks are its alpha. Raises DataError."""
        config = self.config
        require_folder(self.root, f"image/, mask/ and {config.cameras_file}")
        images = tuple(list_images(self.root / "image"))
        masks = self.masks(images)
        used = [i for i, image in enumerate(images) if not masks or image in masks]
        chosen = choose_views(len(used), config.holdout, split, config.is_held_out(split), self._warn_once)
        return self._scene(images, tuple(used[i] for i in chosen))

    def _load(self, images: tuple[Path, ...], chosen: tuple[int, ...]) -> Scene:
        config, masks = self.config, self.masks(images)
        files = [*(images[i] for i in chosen), *(masks.get(images[i]) for i in chosen), self.cameras_path]
        require_inside(self.root, files, config.follow_links)
        cameras = read_neus_cameras(self.cameras_path)
        camera_of = self._camera_of_each(images, len(cameras.c2w))
        index, paths = [camera_of[i] for i in chosen], [images[i] for i in chosen]
        orientations = self._orientations(images, cameras.intrinsics[camera_of], masks)
        say_orientations(orientations, self._warn_once)
        photos = load_photos(
            paths,
            lambda path: read_masked(path, masks.get(path), orientations[path]),
            config.resolution,
        )

        def tell(factor: float) -> CamerasFor:
            some = [i for i, path in enumerate(images) if path in masks]
            some = some[:: len(some) // MAX_TOLD_BY + 1]
            alphas = [read_masked(images[i], masks[images[i]], orientations[images[i]])[..., 3] > 127 for i in some]
            rows = [camera_of[i] for i in some]
            return told_by_masks(alphas, cameras.c2w[rows], cameras.intrinsics[rows], factor) if some else "auto"

        scene = Scene(
            name=config.scene or self.root.resolve().name,
            pixels=photos.pixels,
            sizes=photos.sizes,
            c2w=cameras.c2w[index].astype(np.float32),
            intrinsics=photos.scale_intrinsics(
                fit_to_images(
                    *(cameras.intrinsics[index], photos.disk_sizes, str(self.cameras_path)), config.cameras_for, tell
                )
            ),
            image_names=tuple(images[i].name for i in chosen),
            world_from_scene=cameras.world_from_scene,
            orbit_views=config.n_test_traj_steps,
        )
        if masks:
            check_masks(scene, self.root / "mask")
        return scene

    def _orientations(
        self, images: tuple[Path, ...], intrinsics: np.ndarray, masks: dict[Path, Path]
    ) -> dict[Path, Orientation]:
        """How the photographs that are used are turned, by the principal points of their cameras."""
        centres = {path: row[2:] for path, row in zip(images, intrinsics, strict=True) if not masks or path in masks}
        require_inside(self.root, centres, self.config.follow_links)
        shapes = {path: CameraShape(tuple(2.0 * centre), by_centre=True) for path, centre in centres.items()}
        return {path: orientation_of(path, shape, turns=True) for path, shape in shapes.items()}

    def _camera_of_each(self, images: tuple[Path, ...], num_cameras: int) -> list[int]:
        """Index of each image's camera: its position in the sorted folder, or its number where images are missing."""
        if len(images) == num_cameras:
            return list(range(num_cameras))
        numbers = [int(path.stem) if path.stem.isdigit() else num_cameras for path in images]
        if len(images) > num_cameras or max(numbers) >= num_cameras or len(set(numbers)) < len(numbers):
            raise DataError(
                f"{self.cameras_path}: expected one world_mat_i for each image, got {num_cameras} for {len(images)} "
                f"images in {self.root / 'image'}. Remove the images that have no camera. Images may only be missing "
                f"if their names are the numbers of their cameras (000.png is i = 0)."
            )
        log.info("%s: %d of %d cameras have an image; pairing them by number", self.root, len(images), num_cameras)
        return numbers

    def _masks(self, images: tuple[Path, ...]) -> dict[Path, Path]:
        """The masks of the images, by image; empty where there is no folder of masks."""
        folder = self.root / "mask"
        if not self.config.apply_mask:
            return {}
        if not folder.is_dir():
            self._warn_once("no mask/, so the images have no masks; set dataset.apply_mask=false to confirm this")
            return {}
        return pair_masks(images, self.root / "image", folder)
