"""Loads raw BlendedMVS and MVSNet folders: cams/*_cam.txt beside blended_images/ or images/."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.assemble import list_images, require_folder
from datasets.files.inside import require_inside
from datasets.geometry.lens import Lens
from datasets.posed import PosedConfig, PosedLoader, PosedPhotos, View
from utils.errors import DataError
from utils.registry import register
from utils.terminal.numbers import counted

log = logging.getLogger(__name__)
FOLDERS = ("blended_images", "images", "image")
_UNUSED = ("pair.txt", "cams/pair.txt", "rendered_depth_maps", "depths", "textured_mesh")


@register("dataset", "mvsnet", builds="datasets.mvsnet:MvsnetLoader")
@dataclass(frozen=True)
class MvsnetConfig(PosedConfig):
    """Raw BlendedMVS, or the input of MVSNet: a *_cam.txt for each image, with its pose and intrinsics."""

    images_dir: str | None = None  # below root_dir; None: blended_images, images or image, the first that exists


class MvsnetLoader(PosedLoader):
    """Reads the images that have a camera; copies with a black background, *_masked.jpg, are left out."""

    def read(self) -> PosedPhotos:
        """See PosedLoader.read."""
        require_folder(self.root / "cams", "a *_cam.txt for each image")
        names = [self.config.images_dir] if self.config.images_dir else FOLDERS
        folder = next((self.root / name for name in names if (self.root / name).is_dir()), self.root / names[0])
        images = [path for path in list_images(folder) if not path.stem.endswith("_masked")]
        cameras = {path: self.root / "cams" / f"{path.stem}_cam.txt" for path in images}
        used = [path for path in images if cameras[path].is_file()]
        if not used:
            raise DataError(
                f"{self.root / 'cams'}: expected a file NAME_cam.txt for each image NAME in {folder}, got none, first "
                f"tried {cameras[images[0]].name if images else 'no image'}. Put images and cameras of one scene there."
            )
        if len(used) < len(images):
            lonely = next(path.name for path in images if path not in set(used))
            left = counted(len(images) - len(used), "image")
            self._warn_once(f"leaving out {left} without a *_cam.txt, first {lonely}")
        require_inside(self.root, [cameras[path] for path in used], self.config.follow_links)
        unused = ["depth ranges", *(name for name in _UNUSED if (self.root / name).exists())]
        log.info("%s: not used: %s", self.root, ", ".join(unused))
        masks, mask_folder, means = self.masks_in_folder(used, folder)
        shown = [path for path in used if not masks or path in masks or means == "ignore"]
        views = [_view(path, cameras[path], masks.get(path)) for path in shown]
        return PosedPhotos(tuple(views), None, None, mask_folder, means)


def _view(image: Path, path: Path, mask: Path | None) -> View:
    """The view of an image, from the words of its *_cam.txt: "extrinsic", 4x4 world to camera in OpenCV axes, and
    "intrinsic", 3x3 in pixels, which is for images of the size on disk."""
    try:
        words = path.read_text(encoding="utf-8").split()
        at = words.index("extrinsic") + 1, words.index("intrinsic") + 1
        w2c = np.array(words[at[0] : at[0] + 16], dtype=np.float64).reshape(4, 4)
        matrix = np.array(words[at[1] : at[1] + 9], dtype=np.float64).reshape(3, 3)
        off = np.abs(w2c[:3, :3] @ w2c[:3, :3].T - np.eye(3)).max()
        is_sound = np.isfinite(w2c).all() and off < 1e-3 and np.linalg.det(w2c[:3, :3]) > 0.0
        if not is_sound or not np.isfinite(matrix).all() or min(matrix[0, 0], matrix[1, 1]) <= 0.0:
            raise ValueError("its rotation is none, or its focal length is not above 0")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: expected `extrinsic` with 4x4 and `intrinsic` with 3x3 numbers, got a file that cannot be read "
            f"so ({error}). Copy it again, or remove it with its image."
        ) from error
    focal_x, focal_y, centre_x, centre_y = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]

    def lens(size: tuple[int, int]) -> Lens:
        if not (0.25 < centre_x / size[0] < 0.75 and 0.25 < centre_y / size[1] < 0.75):
            raise DataError(
                f"{path}: expected intrinsics for {image.name}, {size[0]}x{size[1]} pixels, got the principal point "
                f"({centre_x:g}, {centre_y:g}), that of another size. Use the images that the cameras were made for."
            )
        return Lens("PINHOLE", size, (focal_x, focal_y, centre_x, centre_y))

    left, _, right = np.linalg.svd(w2c[:3, :3].T)
    rotation = left @ right
    return View(image, np.column_stack([rotation, -rotation @ w2c[:3, 3]]), lens, mask)
