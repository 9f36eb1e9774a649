"""Captures of photographs with cameras in a frame of their own (COLMAP, transforms.json): from views to a scene."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated

import numpy as np

from datasets.assemble import WarnOnce, choose_views, load_photos
from datasets.geometry.inside import require_inside
from datasets.geometry.lens import Lens
from datasets.geometry.normalise import CentreMethod, Sparse, UpMethod, move_cameras, scene_from_world, upright_frame
from datasets.masks import check_masks, pair_masks, read_masked
from datasets.options import CaptureConfig
from datasets.region import Region, read_region
from datasets.scene import Scene
from utils.config.limits import Range
from utils.images import read_image

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PosedConfig(CaptureConfig):
    """A capture: upright, centred and scaled so that the object has radius 0.5."""

    up_est_method: UpMethod = "camera"  # mean of the cameras' up, or normal of the plane with most sparse points
    # the point that the cameras look at, their mean position, or the median of the sparse points
    center_est_method: CentreMethod = "lookat"
    # in the units of the cameras; None: of the sparse points that most cameras see
    object_radius: Annotated[float, Range(above=0.0, high=1e9)] | None = None
    # below root_dir: the sphere around the object that the capture pipeline found, used where the file is there instead
    # of the estimates above, but for an object_radius; None: estimated
    region_file: str | None = "region.json"


@dataclass(frozen=True)
class View:
    """A photograph with its camera."""

    image: Path
    c2w: np.ndarray  # (3, 4) float64, OpenCV
    lens: Callable[[tuple[int, int]], Lens]  # from the size of the image
    mask: Path | None = None


@dataclass(frozen=True)
class Capture:
    """All views of a folder, in their order."""

    views: tuple[View, ...]
    sparse: Sparse | None = None
    user_from_world: np.ndarray | None = None  # (4, 4) similarity to the coordinates that meshes are wanted in
    mask_folder: Path | None = None


class PosedLoader:
    """Reads one split at a time; a subclass reads the cameras, once for all splits."""

    def __init__(self, config: PosedConfig) -> None:
        self.config = config
        self.root = Path(config.root_dir)
        self._say = WarnOnce(self.root)
        self._scene = cache(self._load)

    def read(self) -> Capture:
        """The views, with masks where `apply_mask` asks for them. Raises DataError."""
        raise NotImplementedError

    def masks_in_folder(self, images: Sequence[Path], image_root: Path) -> tuple[dict[Path, Path], Path | None]:
        """The masks of masks/ by their images, and that folder; none where there is none or none is wanted."""
        folder = self.root / "masks"
        if not self.config.apply_mask or not folder.is_dir():
            return {}, None
        return pair_masks(images, image_root, folder), folder

    @cached_property
    def capture(self) -> Capture:
        """What `read` gives."""
        return self.read()

    @cached_property
    def scene_from_world(self) -> np.ndarray:
        """(4, 4) similarity to the scene frame, from the region of interest or the cameras of all splits."""
        config, c2w = self.config, np.stack([view.c2w for view in self.capture.views])
        if (region := self._region()) is not None:
            return upright_frame(region.center, config.object_radius or region.radius, region.up)
        return scene_from_world(
            c2w, self.capture.sparse, config.up_est_method, config.center_est_method, config.object_radius
        )

    def _region(self) -> Region | None:
        """The region of interest, where there is one; says which. Raises DataError for one that was asked for."""
        name = self.config.region_file
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
        config, num_views = self.config, len(self.capture.views)
        chosen = choose_views(num_views, config.holdout, split, config.is_held_out(split), self._say)
        return self._scene(tuple(chosen))

    def _load(self, chosen: tuple[int, ...]) -> Scene:
        config, capture = self.config, self.capture
        views = {capture.views[i].image: capture.views[i] for i in chosen}
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
        world = np.eye(4) if capture.user_from_world is None else capture.user_from_world
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
            orbit_views=config.n_test_traj_steps,
        )
        if capture.mask_folder is not None:
            check_masks(scene, capture.mask_folder)
        return scene

    def _points(self) -> np.ndarray | None:
        """(K, 3) float32 sparse points in the scene frame."""
        if self.capture.sparse is None:
            return None
        points = self.capture.sparse.points @ self.scene_from_world[:3, :3].T + self.scene_from_world[:3, 3]
        return points.astype(np.float32)
