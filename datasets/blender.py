"""Loads NeRF-Synthetic scenes: transforms_{train,val,test}.json beside folders of RGB or RGBA images."""

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np

from datasets.assemble import WarnOnce, choose_views, load_photos, refuse_transparent, require_folder
from datasets.files.frames import first_folders, name_unused_keys, usable_frames
from datasets.files.inside import require_inside
from datasets.files.names import comparable
from datasets.files.orientation import orientation_of, say_orientations
from datasets.files.transforms_json import read_frames, read_intrinsics, read_pose, read_shape
from datasets.files.unused import Unused
from datasets.geometry.axes import likely_up
from datasets.geometry.inverse import doubt_of_poses
from datasets.geometry.lens import doubt_of_pixels
from datasets.options import FolderConfig
from datasets.scene import Scene
from utils.config.limits import Length, Range
from utils.errors import ConfigError, DataError
from utils.images import read_image
from utils.registry import register

log = logging.getLogger(__name__)
_FARTHEST = 1000.0  # distances between cameras from the origin: 1e-7 of that is a tenth of a pixel


@register("dataset", "blender", builds="datasets.blender:BlenderLoader")
@dataclass(frozen=True)
class BlenderConfig(FolderConfig):
    """A NeRF-Synthetic folder, with a file for each split; holdout divides the train views where it has no others."""

    # scene units along the ray; None: the region of the model
    near_plane: Annotated[float, Range(0.0, 1e6)] | None = None
    far_plane: Length | None = None
    train_split: str = "train"  # the x of transforms_x.json
    val_split: str = "val"
    test_split: str = "test"

    def __post_init__(self) -> None:
        super().__post_init__()
        near, far = self.near_plane or 0.0, float("inf") if self.far_plane is None else self.far_plane
        if not 0.0 <= near < far:
            raise ConfigError(f"dataset.near_plane, far_plane: expected 0 <= near < far, got {near:g} and {far:g}.")


class BlenderLoader:
    """Reads one split at a time; test replaces a missing val split, and val a missing test split."""

    def __init__(self, config: BlenderConfig) -> None:
        self.config = config
        self.root = Path(config.root_dir)
        self._warn_once = WarnOnce(self.root)
        self._unused = Unused(self.root)
        self._scene = cache(self._load)

    def load(self, split: str) -> Scene:
        """The scene of "train", "val" or "test" in the file's own world frame. Raises DataError."""
        file, is_divided = self._file(split)
        held = None if not is_divided else split != "train"
        if split != "train" and not is_divided:
            self._tell_trained_on(file)
        return self._scene(file, held)

    def _load(self, file: Path, held: bool | None) -> Scene:
        """The views of a file; held: True for the held-out ones only, False for the others only, None for all."""
        config = self.config
        require_inside(self.root, [file], config.follow_links)
        meta, frames = read_frames(file)
        name_unused_keys(self._unused, file, meta, frames, splits_in_files=True)
        frames, paths = usable_frames(self.root, file, frames, meta, self._warn_once)
        self._unused.files([*(f"transforms_{name}.json" for name in self._splits), *first_folders(paths, self.root)])
        if held is not None:
            chosen = choose_views(len(frames), config.holdout, "an evaluation", held, self._warn_once)
            frames, paths = [frames[i] for i in chosen], [paths[i] for i in chosen]
        wheres = [f"{file}, frame '{frame.get('file_path')}'" for frame in frames]
        require_inside(self.root, paths, config.follow_links)
        c2w = np.stack([read_pose(frame, where) for frame, where in zip(frames, wheres, strict=True)])
        _refuse_far(c2w, file)
        if doubt := doubt_of_poses(c2w):
            self._warn_once(doubt)
        shapes = [read_shape(meta, frame, where) for frame, where in zip(frames, wheres, strict=True)]
        orientations = {path: orientation_of(path, shape) for path, shape in zip(paths, shapes, strict=True)}
        say_orientations(orientations, self._warn_once)
        photos = load_photos(paths, lambda path: read_image(path, orientations[path].applied), config.resolution)
        refuse_transparent(photos.pixels, len(frames), file)
        views = zip(frames, photos.disk_sizes.tolist(), wheres, strict=True)
        intrinsics = np.stack([read_intrinsics(meta, frame, size, where) for frame, size, where in views])
        if doubt := doubt_of_pixels(intrinsics):
            self._warn_once(doubt)
        return Scene(
            name=config.scene or self.root.resolve().name,
            pixels=photos.pixels,
            sizes=photos.sizes,
            c2w=c2w.astype(np.float32),
            intrinsics=photos.scale_intrinsics(intrinsics),
            image_names=tuple(path.name for path in paths),
            near=config.near_plane or 0.0,
            up=likely_up(c2w, np.array([0.0, 0.0, 1.0])),  # Blender's
            far=float("inf") if config.far_plane is None else config.far_plane,
            orbit_views=config.n_test_traj_steps,
        )

    def _tell_trained_on(self, file: Path) -> None:
        """Warns of held-out images that are trained on too, since their figures say nothing of other views."""
        train = self.root / f"transforms_{self._splits[0]}.json"
        if file == train or not train.is_file():
            return
        require_inside(self.root, [file, train], self.config.follow_links)
        held, trained = (
            {comparable(str(frame.get("file_path"))) for frame in read_frames(path)[1]} for path in (file, train)
        )
        if both := held & trained:
            self._warn_once(
                f"{len(both)} of {len(held)} images of {file.name} are in {train.name} too, so figures of them say "
                f"nothing of other views. Without files for val and test, dataset.holdout divides {train.name}"
            )

    @property
    def _splits(self) -> tuple[str, str, str]:
        """The x of transforms_x.json of train, val and test."""
        return self.config.train_split, self.config.val_split, self.config.test_split

    def _file(self, split: str) -> tuple[Path, bool]:
        """The JSON file of a split, and whether to divide its views into train and held-out ones."""
        require_folder(self.root, "transforms_train.json and its images")
        names = zip(("train", "val", "test"), self._splits, strict=True)
        files = {split: self.root / f"transforms_{name}.json" for split, name in names}
        has_evaluation = files["val"].is_file() or files["test"].is_file()
        if split != "train" and has_evaluation:
            if files[split].is_file():
                return files[split], False
            other = files["test" if split == "val" else "val"]
            log.info("%s: no %s; using %s in its place", self.root, files[split].name, other.name)
            return other, False
        if not files["train"].is_file():
            contents = ", ".join(sorted(path.name for path in self.root.iterdir())[:8])
            raise DataError(
                f"{files['train']}: no such file. A NeRF-Synthetic scene contains transforms_train.json and, if "
                f"possible, transforms_val.json and transforms_test.json; {self.root} contains {contents}. "
                f"Set dataset.root_dir to the folder of one scene."
            )
        if not has_evaluation and self.config.holdout != 0:
            log.warning("%s: no val or test views; holding out some of the train views (dataset.holdout)", self.root)
        return files["train"], not has_evaluation


def _refuse_far(c2w: np.ndarray, file: Path) -> None:
    """Raises DataError for cameras (N, 3, 4) so far from the origin that single precision moves them apart.

    They stay where the file has them, so a region around the origin shows nothing of such a scene either."""
    centres = c2w[:, :3, 3]
    middle = centres.mean(axis=0)
    away, apart = float(np.linalg.norm(middle)), float(np.linalg.norm(centres - middle, axis=1).max())
    if 0.0 < apart < away / _FARTHEST:
        raise DataError(
            f"{file}: expected cameras around the origin, got them {away:.4g} away and within {apart:.4g} of each "
            f"other. Move the origin into the object, or use the loader that does: --config configs/neus-colmap.yaml "
            f"dataset.name=transforms dataset.file={file.name} and the same dataset.root_dir."
        )
