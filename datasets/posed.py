"""Photographs with cameras in an arbitrary world frame (COLMAP, transforms.json): from views to a scene."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated

import numpy as np

from datasets.assemble import WarnOnce, choose_views, load_photos, refuse_transparent
from datasets.files.inside import require_inside
from datasets.geometry.lens import Lens
from datasets.geometry.normalise import (
    CentreMethod,
    SparsePoints,
    UpMethod,
    move_cameras,
    move_direction,
    scene_from_world,
    upright_frame,
)
from datasets.lighting import LIGHTING_FILE, SceneLighting, read_lightings, scene_lighting
from datasets.masks import check_masks, pair_masks, read_masked
from datasets.options import UnsplitFolderConfig
from datasets.region import OBJECT_FILE, Region, read_region
from datasets.scene import Scene
from utils.config.limits import Range
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


@dataclass(frozen=True)
class View:
    """A photograph with its camera."""

    image: Path
    c2w: np.ndarray  # (3, 4) float64, OpenCV
    lens: Callable[[tuple[int, int]], Lens]  # from the size of the image
    mask: Path | None = None


@dataclass(frozen=True)
class PosedPhotos:
    """All views of a folder in their order, its sparse points, its frame and its masks."""

    views: tuple[View, ...]
    sparse: SparsePoints | None = None
    user_from_world: np.ndarray | None = None  # (4, 4) similarity from the cameras' frame to that of exported meshes
    mask_folder: Path | None = None


class PosedLoader:
    """Reads one split at a time; a subclass reads the cameras, once for all splits."""

    def __init__(self, config: PosedConfig) -> None:
        self.config = config
        self.root = Path(config.root_dir)
        self._warn_once = WarnOnce(self.root)
        self._scene = cache(self._load)

    def read(self) -> PosedPhotos:
        """The views, with masks where `apply_mask` asks for them. Raises DataError."""
        raise NotImplementedError

    def masks_in_folder(self, images: Sequence[Path], image_root: Path) -> tuple[dict[Path, Path], Path | None]:
        """The masks in masks/ by their images, and that folder; empty and None without the folder or apply_mask."""
        folder = self.root / "masks"
        if not self.config.apply_mask or not folder.is_dir():
            return {}, None
        return pair_masks(images, image_root, folder), folder

    @cached_property
    def posed(self) -> PosedPhotos:
        """The result of `read`, which is called once."""
        return self.read()

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
        masked = name == PosedConfig.region_file and self.posed.mask_folder is not None
        if masked and (self.root / OBJECT_FILE).is_file():
            name = OBJECT_FILE
        if name is None or (name == PosedConfig.region_file and not (self.root / name).is_file()):
            return None
        require_inside(self.root, [self.root / name], self.config.follow_links)
        region = read_region(self.root / name)
        log.info(
            "%s: the object is the sphere of radius %.4g around (%.4g, %.4g, %.4g)",
            *(self.root / name, region.radius, *region.center),
        )
        return region

    def load(self, split: str) -> Scene:
        """The scene of "train", "val" or "test"; masks are its alpha. Raises DataError."""
        config, num_views = self.config, len(self.posed.views)
        chosen = choose_views(num_views, config.holdout, split, config.is_held_out(split), self._warn_once)
        return self._scene(tuple(chosen))

    def _load(self, chosen: tuple[int, ...]) -> Scene:
        config, posed = self.config, self.posed
        views = {posed.views[i].image: posed.views[i] for i in chosen}
        files = [path for view in views.values() for path in (view.image, view.mask)]
        require_inside(self.root, files, config.follow_links)
        intrinsics: dict[Path, np.ndarray] = {}

        def read(path: Path) -> np.ndarray:
            view = views[path]
            image = read_image(path) if view.mask is None else read_masked(path, view.mask)
            image = image if config.apply_mask else image[..., :3]
            lens = view.lens((image.shape[1], image.shape[0]))
            image, intrinsics[path] = lens.undistort(np.ascontiguousarray(image), str(path))
            return image

        photos = load_photos(list(views), read, config.resolution)
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
            ground=self._ground(),
            lighting=self._lighting([path.name for path in views]),
            orbit_views=config.n_test_traj_steps,
        )
        if posed.mask_folder is not None:
            check_masks(scene, posed.mask_folder)
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
