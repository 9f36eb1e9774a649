"""Photographs with cameras in an arbitrary world frame (COLMAP, transforms.json): from views to a scene."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from datasets.assemble import WarnOnce, choose_views, load_photos, refuse_transparent
from datasets.files.inside import require_inside
from datasets.files.orientation import CameraShape, orientation_of, say_orientations
from datasets.files.unused import Unused
from datasets.geometry.axes import likely_up
from datasets.geometry.inverse import doubt_of_poses
from datasets.geometry.lens import Lens, doubt_of_pixels
from datasets.geometry.normalise import (
    OBJECT_RADIUS,
    CentreMethod,
    SparsePoints,
    UpMethod,
    move_cameras,
    move_direction,
    scene_from_world,
    upright_frame,
)
from datasets.geometry.seen_points import SeenPoints, check_photographs
from datasets.lighting import LIGHTING_FILE, SceneLighting, read_lightings, scene_lighting
from datasets.masks import MaskMeaning, check_masks, kept_pixels, mask_of_image, pair_masks, read_masked
from datasets.options import UnsplitFolderConfig
from datasets.region import OBJECT_FILE, Region, read_region
from datasets.scene import Scene
from utils.config.limits import Range
from utils.config.mask_choice import MASK_FOLDERS
from utils.errors import DataError
from utils.images import read_image

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PosedConfig(UnsplitFolderConfig):
    """Posed photographs; the scene is upright, centred and scaled so that the object has radius 0.5."""

    up_est_method: UpMethod = "camera"  # the mean up of the cameras, or the normal of the plane with most sparse points
    # the point that the cameras look at, their mean position, or the median of the sparse points
    center_est_method: CentreMethod = "lookat"
    # in the units of the cameras; None: estimated from the well-observed sparse points
    object_radius: Annotated[float, Range(above=0.0, high=1e9)] | None = None
    # below root_dir: the sphere around the object, as prepare.py writes it. If the file exists it replaces the two
    # estimates above and the radius, unless object_radius is set; None: never. With masks, object.json beside it is
    # used in place of the default: the sphere around what the masks leave
    region_file: str | None = "region.json"
    # what masks tell: "object": their white is the object, all else is empty; "ignore": their black is not to be looked
    # at, whatever apply_mask says; "auto": the second for mask_path of a transforms.json that prepare.py did not write,
    # else the first
    masks: MaskMeaning | Literal["auto"] = "auto"


@dataclass(frozen=True)
class View:
    """A photograph with its camera."""

    image: Path
    c2w: np.ndarray  # (3, 4) float64, OpenCV
    lens: Callable[[tuple[int, int]], Lens]  # from the size of the image
    mask: Path | None = None
    shape: CameraShape | None = None  # of the images that the camera is for, where the file tells it
    seen: SeenPoints | None = None  # points of a model in the image, where the file tells them


@dataclass(frozen=True)
class PosedPhotos:
    """All views of a folder in their order, its sparse points, its frame and its masks."""

    views: tuple[View, ...]
    sparse: SparsePoints | None = None
    user_from_world: np.ndarray | None = None  # (4, 4) similarity from the cameras' frame to that of exported meshes
    mask_folder: Path | None = None
    masks_mean: MaskMeaning = "object"
    splits: Mapping[str, frozenset[Path]] | None = None  # the images of "train", "val" and "test", where a file says so
    # centre (3,) and radius of the object in the frame of the cameras, where the file of the cameras says so
    sphere: tuple[np.ndarray, float] | None = None


class PosedLoader:
    """Reads one split at a time; a subclass reads the cameras, once for all splits."""

    z_is_up = False  # whether the format of the cameras says that +z is up

    def __init__(self, config: PosedConfig) -> None:
        self.config = config
        self.root = Path(config.root_dir)
        self._warn_once = WarnOnce(self.root)
        self.unused = Unused(self.root)
        self._scene = cache(self._load)

    def read(self) -> PosedPhotos:
        """The views, with masks where they are used, see `meaning`. Raises DataError."""
        raise NotImplementedError

    def masks_in_folder(
        self, images: Sequence[Path], image_root: Path
    ) -> tuple[dict[Path, Path], Path | None, MaskMeaning]:
        """The masks in masks/, or in mask/ where there is no masks/, by their images, that folder, and what they mean;
        empty and None without such a folder, or where they are not used."""
        folder = next((folder for name in MASK_FOLDERS if (folder := self.root / name).is_dir()), None)
        means = None if folder is None else self.meaning("object")
        if means is None:
            if self.config.masks == "ignore":
                self._warn_once("dataset.masks=ignore has no effect: there is no masks/ or mask/, and no mask_path")
            return {}, None, "object"
        return pair_masks(images, image_root, folder, means), folder, means

    def meaning(self, default: MaskMeaning) -> MaskMeaning | None:
        """What masks mean, `default` unless dataset.masks tells, which it says once; None where they are not used, as
        those of the object without apply_mask."""
        means = default if self.config.masks == "auto" else self.config.masks
        if means == "object" and not self.config.apply_mask:
            return None
        said = {
            "object": "white in masks is the object, all else is empty",
            "ignore": "black in masks is not looked at, and nothing is said about the object there",
        }
        self._warn_once(f"{said[means]} (dataset.masks={means})", logging.INFO)
        return means

    @cached_property
    def posed(self) -> PosedPhotos:
        """The result of `read`, which is called once."""
        posed = self.read()
        if posed.views and (doubt := doubt_of_poses(np.stack([view.c2w for view in posed.views]))):
            self._warn_once(doubt)
        return posed

    @cached_property
    def scene_from_world(self) -> np.ndarray:
        """(4, 4) similarity to the scene frame, from the region of interest or the cameras of all splits."""
        config, c2w = self.config, np.stack([view.c2w for view in self.posed.views])
        if (region := self.region) is not None:
            return upright_frame(region.center, config.object_radius or region.radius, region.up)
        return scene_from_world(
            c2w, self.posed.sparse, config.up_est_method, config.center_est_method, config.object_radius
        )

    @cached_property
    def region(self) -> Region | None:
        """The region of interest, if there is one, which it logs. Raises DataError for a file that cannot be read."""
        name = self.config.region_file
        has_masks = self.posed.mask_folder is not None and self.posed.masks_mean == "object"
        masked = name == PosedConfig.region_file and has_masks
        if masked and (self.root / OBJECT_FILE).is_file():
            name = OBJECT_FILE
        if name is None or (name == PosedConfig.region_file and not (self.root / name).is_file()):
            return self._region_of_sphere()
        require_inside(self.root, [self.root / name], self.config.follow_links)
        region = read_region(self.root / name)
        log.info(
            "%s: the object is the sphere of radius %.4g around (%.4g, %.4g, %.4g)",
            *(self.root / name, region.radius, *region.center),
        )
        return region

    def _region_of_sphere(self) -> Region | None:
        """The sphere that the file of the cameras gives; None, which is said, where a key says otherwise."""
        if self.posed.sphere is None:
            return None
        (center, radius), config = self.posed.sphere, self.config
        c2w = np.stack([view.c2w for view in self.posed.views])
        inside = np.mean(np.linalg.norm(c2w[:, :, 3] - center, axis=1) < radius)
        told = "the sphere of sphere_center and sphere_radius"
        if config.region_file is None or config.center_est_method != PosedConfig.center_est_method:
            self._warn_once(f"{told} is not used, since dataset.region_file or dataset.center_est_method is set")
            return None
        if inside > 0.5:
            self._warn_once(
                f"{told} is not used, since {inside:.0%} of the cameras stand in it: it is not the object's"
            )
            return None
        log.info(
            "%s: the object is %s, of radius %.4g around (%.4g, %.4g, %.4g); not with dataset.region_file=null",
            *(self.root, told, radius, *center),
        )
        upright = scene_from_world(
            c2w, self.posed.sparse, config.up_est_method, config.center_est_method, config.object_radius
        )
        return Region(
            center, radius, upright[2, :3] / np.linalg.norm(upright[2, :3]), None, "sphere of the cameras' file"
        )

    def load(self, split: str) -> Scene:
        """The scene of "train", "val" or "test"; masks are its alpha. Raises DataError."""
        config, num_views = self.config, len(self.posed.views)
        if (splits := self.posed.splits) is not None:
            name = getattr(config, f"{split}_split")
            listed = tuple(i for i, view in enumerate(self.posed.views) if view.image in splits[name])
            if not listed:
                raise DataError(f"{self.root}: no view is left of the list of {name} images. Set dataset.holdout=7.")
            return self._scene(listed)
        chosen = choose_views(num_views, config.holdout, split, config.is_held_out(split), self._warn_once)
        return self._scene(tuple(chosen))

    def _load(self, chosen: tuple[int, ...]) -> Scene:
        config, posed = self.config, self.posed
        views = {posed.views[i].image: posed.views[i] for i in chosen}
        files = [path for view in views.values() for path in (view.image, view.mask)]
        require_inside(self.root, files, config.follow_links)
        intrinsics: dict[Path, np.ndarray] = {}
        orientations = {path: orientation_of(path, view.shape) for path, view in views.items()}
        say_orientations(orientations, self._warn_once)

        ignored, ignores = {}, posed.masks_mean == "ignore"
        unlike: dict[Path, float | None] = {}

        def read(path: Path) -> np.ndarray:
            view, orientation = views[path], orientations[path]
            if view.mask is None or ignores:
                image = read_image(path, orientation.applied)
            else:
                image = read_masked(path, view.mask, orientation, turns=False)
            if view.seen is not None:
                unlike[path] = view.seen.unlikeness(image[..., :3])
            image = image if config.apply_mask else image[..., :3]
            if view.mask is not None and ignores:
                mask = mask_of_image(view.mask, image, path, orientation, turns=False, means="ignore")
                ignored[path] = view.lens((image.shape[1], image.shape[0])).undistort(mask, str(view.mask))[0]
            lens = view.lens((image.shape[1], image.shape[0]))
            image, intrinsics[path] = lens.undistort(np.ascontiguousarray(image), str(path))
            return image

        photos = load_photos(list(views), read, config.resolution)
        check_photographs(unlike, self.root, self._warn_once)
        if doubt := doubt_of_pixels(np.stack(list(intrinsics.values()))):
            self._warn_once(doubt)
        kept = None
        if ignored:
            masks = [views[path].mask for path in views]
            kept = kept_pixels([ignored.get(path) for path in views], photos.sizes, masks, self._warn_once)
        world = np.eye(4) if posed.user_from_world is None else posed.user_from_world
        c2w = move_cameras(np.stack([view.c2w for view in views.values()]), self.scene_from_world)
        scene = Scene(
            name=config.scene or self.root.resolve().name,
            pixels=photos.pixels,
            sizes=photos.sizes,
            c2w=c2w.astype(np.float32),
            intrinsics=photos.scale_intrinsics(np.stack([intrinsics[path] for path in views])),
            image_names=tuple(path.name for path in views),
            world_from_scene=world @ np.linalg.inv(self.scene_from_world),
            points=self._points(),
            object_radius=OBJECT_RADIUS,
            ground=self._ground(),
            up=self._up(),
            metres_per_unit=None if self.region is None else self.region.metres_per_unit,
            lighting=self._lighting([path.name for path in views]),
            kept=kept,
            orbit_views=config.n_test_traj_steps,
        )
        if posed.mask_folder is not None and not ignores:
            check_masks(scene, posed.mask_folder, self._warn_once)
        refuse_transparent(photos.pixels, len(views), self.root)
        return scene

    def _ground(self) -> np.ndarray | None:
        """(4,) the support plane of the region of interest in the scene frame, see `Scene.ground`."""
        region = self.region
        if region is None or region.ground is None:
            return None
        linear, shift = self.scene_from_world[:3, :3], self.scene_from_world[:3, 3]
        normal = move_direction(region.ground.normal, self.scene_from_world)
        return np.append(normal, normal @ (linear @ region.ground.project(np.zeros(3)) + shift))

    def _up(self) -> np.ndarray:
        """(3,) up in the scene frame: its +z; without a region that of the file, where the format says so."""
        if self.region is not None or not self.z_is_up:
            return np.array([0.0, 0.0, 1.0])
        c2w = move_cameras(np.stack([view.c2w for view in self.posed.views]), self.scene_from_world)
        return likely_up(c2w, move_direction(np.array([0.0, 0.0, 1.0]), self.scene_from_world))

    def _lighting(self, names: Sequence[str]) -> SceneLighting | None:
        """The lightings of images with these names; None where the folder tells of none."""
        path = self.root / LIGHTING_FILE
        if not path.is_file():
            return None
        require_inside(self.root, [path], self.config.follow_links)
        return scene_lighting(read_lightings(path), names, self.scene_from_world, path)

    def _points(self) -> np.ndarray | None:
        """(K, 3) float32 sparse points in the scene frame."""
        if self.posed.sparse is None:
            return None
        points = self.posed.sparse.points @ self.scene_from_world[:3, :3].T + self.scene_from_world[:3, 3]
        return points.astype(np.float32)
