"""Loads scenes in the NeuS layout (DTU, BlendedMVS, your own): image/, mask/ and cameras_sphere.npz; or IDR's."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np

from datasets.assemble import WarnOnce, choose_views, list_images, load_photos, refuse_transparent, require_folder
from datasets.files.inside import require_inside
from datasets.files.neus_cameras import NeusCameras, name_unused_arrays, read_neus_cameras
from datasets.files.neus_pairing import pair_cameras
from datasets.files.orientation import CameraShape, Orientation, orientation_of, say_orientations
from datasets.files.unused import Unused
from datasets.geometry.axes import likely_up
from datasets.geometry.projection import CamerasFor, fit_to_images
from datasets.geometry.silhouettes import told_by_masks
from datasets.masks import check_masks, pair_masks, read_masked
from datasets.options import UnsplitFolderConfig
from datasets.scene import Scene
from utils.images import read_image
from utils.registry import register

IMAGE_FOLDERS = ("image", "images", "rgb")
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
        self._unused = Unused(self.root)
        self.masks = cache(self._masks)
        self.camera_of = cache(lambda images: pair_cameras(images, self.cameras.numbers, self.cameras_path))
        self._scene = cache(self._load)

    @cached_property
    def cameras_path(self) -> Path:
        """The file of the cameras: dataset.cameras_file, or IDR's where the default is missing."""
        path, idr = self.root / self.config.cameras_file, self.root / "cameras.npz"
        if path.is_file() or self.config.cameras_file != DTUConfig.cameras_file or not idr.is_file():
            return path
        self._warn_once(f"no {path.name}, so the cameras come from {idr.name}")
        return idr

    @cached_property
    def cameras(self) -> NeusCameras:
        """All cameras of the file. Raises DataError."""
        require_inside(self.root, [self.cameras_path], self.config.follow_links)
        return read_neus_cameras(self.cameras_path)

    def load(self, split: str) -> Scene:
        """The scene of "train", "val" or "test"; masks are its alpha. Raises DataError."""
        config = self.config
        require_folder(self.root, f"image/, mask/ and {config.cameras_file}")
        images = tuple(list_images(self._image_folder))
        masks, camera_of = self.masks(images), self.camera_of(images)
        used = [i for i, image in enumerate(images) if (not masks or image in masks) and camera_of[i] is not None]
        chosen = choose_views(len(used), config.holdout, split, config.is_held_out(split), self._warn_once)
        return self._scene(images, tuple(used[i] for i in chosen))

    def _load(self, images: tuple[Path, ...], chosen: tuple[int, ...]) -> Scene:
        config, masks = self.config, self.masks(images)
        files = [*(images[i] for i in chosen), *(masks.get(images[i]) for i in chosen)]
        require_inside(self.root, files, config.follow_links)
        cameras, camera_of = self.cameras, self.camera_of(images)
        name_unused_arrays(self._unused, self.cameras_path)
        self._unused.files([self._image_folder.name, self.cameras_path.name, self._mask_folder.name if masks else ""])
        index, paths = [camera_of[i] for i in chosen], [images[i] for i in chosen]
        with_camera = [
            i for i, camera in enumerate(camera_of) if camera is not None and (not masks or images[i] in masks)
        ]
        rows = [camera_of[i] for i in with_camera]
        orientations = self._orientations([images[i] for i in with_camera], cameras.intrinsics[rows])
        say_orientations(orientations, self._warn_once)
        photos = load_photos(
            paths,
            lambda path: self._read(path, masks.get(path), orientations[path]),
            config.resolution,
        )
        if config.apply_mask and not masks:
            self._say_unmasked(photos.pixels.shape[1] == 4)

        def tell(factor: float) -> CamerasFor:
            some = [i for i in with_camera if images[i] in masks]
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
            up=likely_up(cameras.c2w),
            object_radius=1.0,  # of the unit sphere that scale_mat defines
            orbit_views=config.n_test_traj_steps,
        )
        if masks:
            check_masks(scene, self._mask_folder)
        refuse_transparent(photos.pixels, len(chosen), self.root)
        return scene

    def _read(self, path: Path, mask: Path | None, orientation: Orientation) -> np.ndarray:
        """(H, W, 3|4) uint8 image with its mask as alpha; with its own alpha where there are no masks."""
        if mask is None and self.config.apply_mask:
            return read_image(path, orientation.applied)
        return read_masked(path, mask, orientation)

    def _say_unmasked(self, has_alpha: bool) -> None:
        if has_alpha:
            self._warn_once("no mask/, so the alpha of the images is their mask (dataset.apply_mask)", logging.INFO)
        else:
            self._warn_once("no mask/, so the images have no masks; set dataset.apply_mask=false to confirm this")

    def _orientations(self, images: Sequence[Path], intrinsics: np.ndarray) -> dict[Path, Orientation]:
        """How the photographs that are used are turned, by the principal points of their cameras."""
        require_inside(self.root, images, self.config.follow_links)
        shapes = [CameraShape(tuple(2.0 * centre), by_centre=True) for centre in intrinsics[:, 2:]]
        return {path: orientation_of(path, shape, turns=True) for path, shape in zip(images, shapes, strict=True)}

    @property
    def _image_folder(self) -> Path:
        """image/, else the first of the folders that other programs have in its place."""
        names = {path.name.lower(): path for path in sorted(self.root.iterdir()) if path.is_dir()}
        found = next((names[name] for name in IMAGE_FOLDERS if name in names), self.root / IMAGE_FOLDERS[0])
        if found.name != IMAGE_FOLDERS[0]:
            self._warn_once(f"no image/, so the images are those of {found.name}/", logging.INFO)
        return found

    @property
    def _mask_folder(self) -> Path:
        """mask/, or masks/ where there is no mask/."""
        folder, other = self.root / "mask", self.root / "masks"
        return other if other.is_dir() and not folder.is_dir() else folder

    def _masks(self, images: tuple[Path, ...]) -> dict[Path, Path]:
        """The masks of the images, by image; empty where there is no folder of masks."""
        folder = self._mask_folder
        if not self.config.apply_mask:
            return {}
        return pair_masks(images, self._image_folder, folder) if folder.is_dir() else {}
