"""Loads COLMAP folders: images/, sparse/ with a text or binary model, and masks/ if there are any."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datasets.assemble import list_images, require_folder
from datasets.files.colmap_cameras import check_cameras, read_names
from datasets.files.colmap_sizes import check_sizes
from datasets.files.inside import require_inside
from datasets.files.names import match_names
from datasets.files.orientation import CameraShape
from datasets.geometry.lens import check_focal_lengths, check_in_pixels, lens_of
from datasets.geometry.normalise import SparsePoints
from datasets.geometry.seen_points import MOST, SeenPoints
from datasets.posed import PosedConfig, PosedLoader, PosedPhotos, View
from utils.errors import DataError
from utils.files import natural_key
from utils.images import SUFFIXES
from utils.packages import require
from utils.registry import register

if TYPE_CHECKING:
    import pycolmap

log = logging.getLogger(__name__)
MODEL_FILES = ("cameras.bin", "cameras.txt")


class ColmapLoader(PosedLoader):
    """Reads the registered images of the largest model."""

    def read(self) -> PosedPhotos:
        """See PosedLoader.read."""
        require_folder(self.root, "images/ and sparse/, as scripts/prepare.py makes them of photos or a video")
        folder = self.root / self.config.images_dir
        model = self._largest_model()
        _require_images_dir(self.root, folder)
        files = {path.relative_to(folder).as_posix(): path for path in list_images(folder, deep=True)}
        images = sorted((model.images[i] for i in model.reg_image_ids()), key=lambda image: natural_key(image.name))
        _refuse_twice(images, folder)
        found = self._files_of([image.name for image in images], files, folder)
        registered = [image for image in images if image.name in found]
        left_out = sorted(files.keys() - set(found.values()))
        if left_out:
            log.warning(
                "%s: leaving out %d of %d images, which the model did not register, first %s",
                *(folder, len(left_out), len(files), left_out[0]),
            )
        paths = [files[found[image.name]] for image in registered]
        masks, mask_folder, means = self.masks_in_folder(paths, folder)
        views = [_view(model, image, path, masks) for image, path in zip(registered, paths, strict=True)]
        mask = "" if mask_folder is None else mask_folder.name
        self.unused.files(["sparse", Path(self.config.images_dir).parts[0], mask])
        used = tuple(view for view in views if not masks or view.mask is not None or means == "ignore")
        return PosedPhotos(used, _sparse(model), None, mask_folder, means)

    def _files_of(self, names: list[str], files: Mapping[str, Path], folder: Path) -> dict[str, str]:
        """The file, relative to `folder`, of each registered image that has one; says which are left out.

        Raises DataError where most have none."""
        found = match_names(names, files, by_tail=True)
        missing = [name for name in names if name not in found]
        if 2 * len(missing) > len(names):
            raise DataError(
                f"{folder}: no file for {len(missing)} of the {len(names)} registered images of the model, first "
                f"'{missing[0]}'. Put the images there that you ran COLMAP on, or set dataset.images_dir."
            )
        if missing:
            self._warn_once(
                f"leaving out {len(missing)} of the {len(names)} registered images of the model, which have no file in "
                f"{folder.name}/, first '{missing[0]}'"
            )
        if moved := [name for name in found if found[name] != name]:
            log.info(
                "%s: %d of %d names of the model are written as another machine has them, such as '%s'; read as %s",
                *(folder, len(moved), len(names), moved[0], found[moved[0]]),
            )
        return found

    def _largest_model(self) -> "pycolmap.Reconstruction":
        """The model with most registered images among sparse/, its sub-folders and the folder itself."""
        sparse = self.root / "sparse"
        below = sorted(path for path in sparse.iterdir() if path.is_dir()) if sparse.is_dir() else []
        folders = [path for path in (*below, sparse, self.root) if any((path / name).is_file() for name in MODEL_FILES)]
        if not folders:
            raise DataError(
                f"{sparse}: expected a COLMAP model there or in sparse/0 (cameras, images and points3D as .bin or "
                f".txt), got none. Run COLMAP's mapper, or set dataset.root_dir to the folder that contains sparse/."
            )
        require_inside(self.root, [file for path in folders for file in path.iterdir()], self.config.follow_links)
        models = {path: _read_model(path) for path in folders}
        largest = max(folders, key=lambda path: len(models[path].reg_image_ids()))
        if not models[largest].reg_image_ids():
            raise DataError(f"{largest}: expected registered images, got none. Run COLMAP's mapper again.")
        if len(folders) > 1:
            self._warn_once(
                f"{len(folders)} models; using {largest.relative_to(self.root)}, the largest, with "
                f"{len(models[largest].reg_image_ids())} images"
            )
        if all((largest / name).is_file() for name in MODEL_FILES):
            self._warn_once(
                f"{largest.relative_to(self.root)} has the model as .bin and as .txt; the .bin is read", logging.INFO
            )
        return models[largest]


@register("dataset", "colmap", builds="datasets.colmap:ColmapLoader")
@dataclass(frozen=True)
class ColmapConfig(PosedConfig):
    """A COLMAP folder: text or binary models, any number of cameras; undistorts images on load."""

    images_dir: str = "images"  # below root_dir


def _require_images_dir(root: Path, folder: Path) -> None:
    """Raises DataError where a folder of images is missing but others in `root` hold images, and names those."""
    if folder.is_dir():
        return
    others = sorted(
        path.name
        for path in root.iterdir()
        if path.is_dir() and any(file.suffix.lower() in SUFFIXES for file in path.iterdir())
    )
    if others:
        raise DataError(
            f"{folder}: no such folder, but there are images in {', '.join(others)}. Set "
            f"dataset.images_dir={others[0]}, if these are the images that you ran COLMAP on."
        )


def _read_model(path: Path) -> "pycolmap.Reconstruction":
    check_cameras(path)
    check_sizes(path)
    try:
        model = require("pycolmap").Reconstruction(str(path))
    except (ValueError, RuntimeError, IndexError) as error:
        raise DataError(
            f"{path}: expected a COLMAP model (cameras, images and points3D), got files that cannot be read ({error}). "
            f"Copy it again, or run COLMAP's mapper again."
        ) from error
    if not model.images:
        raise DataError(f"{path}: expected registered images, got none. Run COLMAP's mapper again.")
    for number, name in read_names(path).items():
        if model.exists_image(number):
            model.images[number].name = name
    for number in sorted({image.camera_id for image in model.images.values()}):
        camera = model.cameras[number]
        focal = [camera.params[index] for index in camera.focal_length_idxs()]  # of panoramas, which are refused: none
        check_focal_lengths(focal[0], focal[-1], f"{path}, camera {number}")
        if min(camera.width, camera.height) < 1:
            raise DataError(
                f"{path}, camera {number}: expected the width and height of its images, got {camera.width}x"
                f"{camera.height}. Write the size of the images that the parameters are for."
            )
        values = np.array([focal[0], focal[-1], camera.principal_point_x, camera.principal_point_y])
        check_in_pixels(values, (camera.width, camera.height), f"{path}, camera {number}")
    return model


def _view(model: "pycolmap.Reconstruction", image: "pycolmap.Image", path: Path, masks: dict[Path, Path]) -> View:
    lens = lens_of(model.cameras[image.camera_id])
    shape = CameraShape(lens.size)
    return View(path, _c2w(image), lambda size: lens, masks.get(path), shape, _seen(model, image))


def _seen(model: "pycolmap.Reconstruction", image: "pycolmap.Image") -> SeenPoints | None:
    """The points that the model saw in an image, evenly taken from all; None where there are none."""
    indices = image.get_observation_point2D_idxs()
    found = [image.points2D[i] for i in indices[:: max(1, -(-len(indices) // MOST))]]
    found = [point for point in found if np.isfinite(point.xy).all() and model.exists_point3D(point.point3D_id)]
    if not found:
        return None
    camera, colors = model.cameras[image.camera_id], [model.points3D[point.point3D_id].color for point in found]
    return SeenPoints(np.array([point.xy for point in found]), np.array(colors), (camera.width, camera.height))


def _c2w(image: "pycolmap.Image") -> np.ndarray:
    """(3, 4) camera to world. Files may hold quaternions of any length, as COLMAP's own do of 1. Raises DataError."""
    pose = image.cam_from_world()
    length = float(np.linalg.norm(pose.rotation.quat))
    if not np.isfinite([length, *pose.translation]).all() or length < 1e-6:
        raise DataError(
            f"image '{image.name}' of the COLMAP model: expected a rotation and a position, got the quaternion "
            f"{pose.rotation.quat.tolist()} and the translation {pose.translation.tolist()}. Export the model again, "
            f"or remove the image from it."
        )
    poses = require("pycolmap")
    return poses.Rigid3d(poses.Rotation3d(pose.rotation.quat / length), pose.translation).inverse().matrix()


def _refuse_twice(images: "Sequence[pycolmap.Image]", where: Path) -> None:
    """Raises DataError for a name that two images of a model have: only one of their poses can be that of the file."""
    counts = Counter(image.name for image in images)
    name, count = max(counts.items(), key=lambda item: item[1])
    if count > 1:
        raise DataError(
            f"{where}: expected a name of its own for each image of the model, got '{name}' {count} times. Remove the "
            f"images whose poses are wrong, or name them by their folders."
        )


def _sparse(model: "pycolmap.Reconstruction") -> SparsePoints | None:
    if not model.points3D:
        return None
    points = list(model.points3D.values())
    return SparsePoints(np.array([point.xyz for point in points]), np.array([point.track.length() for point in points]))
