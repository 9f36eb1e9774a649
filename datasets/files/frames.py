"""The frames of a NeRF-style JSON file that can be used: each with its image, none twice, in the splits of the file."""

import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets.files.names import comparable, files_below, match_names, photographs
from datasets.files.transforms_json import LENS_KEYS, MissingFileError, find_file, read_pose
from datasets.files.unused import Unused
from utils.errors import DataError

log = logging.getLogger(__name__)
Frame = dict[str, Any]
SAME = 1e-5  # how far the same pose may differ, as a share of the distance from the origin, and in rotation
SPLIT_KEYS = ("train_filenames", "val_filenames", "test_filenames")
SPHERE_KEYS = ("sphere_center", "sphere_radius")
_USED = {"frames", "file_path", "transform_matrix", "from_na", "intrinsic_matrix", *LENS_KEYS}
_TRANSFORMS_USED = {
    "mask_path",
    "masks",
    "ply_file_path",
    "applied_transform",
    "applied_scale",
    *SPLIT_KEYS,
    *SPHERE_KEYS,
}
_KNOWN = {  # by instant-ngp, nerfstudio, neuralangelo, NeuS2 and NeRF's own renderings
    *(*_TRANSFORMS_USED, "aabb_scale", "aabb_range", "scale", "offset", "up", "render_aabb", "n2w", "centered"),
    *("scaled", "sk_x", "sk_y", "sharpness", "rotation", "depth_path", "depth_file_path", "colmap_im_id", "time"),
    *("normal_path", "orientation_override", "auto_scale_poses_override", "n_frames", "fps", "timestamp", "k5", "k6"),
    *("n_extra_learnable_dims", "integer_depth_scale", "enable_depth_loading", "white_transparent", "near", "far"),
    *("black_transparent", "mask_color", "rolling_shutter", "camera_angle_x", "camera_angle_y"),
    *("is_fisheye", "s1", "s2", "s3", "s4"),
}


def usable_frames(
    root: Path, path: Path, frames: Sequence[Frame], meta: Frame, warn: Callable[[str], None]
) -> tuple[list[Frame], list[Path]]:
    """The frames that have an image, each image once, and their images.

    Paths of another machine are found by their tails. Calls `warn` for frames that are left out. Raises DataError where
    most have no image, or where one image has two cameras."""
    local = local_names(root, frames, "file_path")
    complete, images, error = [], [], None
    for frame in frames:
        try:
            name = frame.get("file_path")
            images.append(find_file(root, local.get(name, name) if isinstance(name, str) else name, "file_path", path))
            complete.append(frame)
        except MissingFileError as missing:
            error = error or missing
    num_missing = len(frames) - len(complete)
    if error and not complete:
        raise error
    if 2 * num_missing > len(frames):
        raise DataError(f"{path}: expected images of its frames, got none for {num_missing} of {len(frames)}. {error}")
    if error:
        warn(f"leaving out {num_missing} of {len(frames)} frames, which have no image ({error})")
    return _once_each(root, path, complete, images, meta, warn)


def local_names(root: Path, frames: Sequence[Frame], key: str) -> dict[str, str]:
    """Paths relative to `root` for those that `key` of the frames names as another machine or system has them."""
    names = [name for frame in frames if isinstance(name := frame.get(key), str) and not _is_there(root, name)]
    if not names:
        return {}
    files = files_below(root)
    found = match_names(list(dict.fromkeys(names)), photographs(files) if key == "file_path" else files)
    if found:
        name, file = next(iter(found.items()))
        log.info(
            "%s: %d of %d frames name their %s as another machine has it, such as '%s'; read as %s",
            *(root, len(found), len(frames), key, name, file),
        )
    return found


def _is_there(root: Path, name: str) -> bool:
    try:
        find_file(root, name, "", "")
        return True
    except DataError:
        return False


def _once_each(
    root: Path, path: Path, frames: list[Frame], images: list[Path], meta: Frame, warn: Callable[[str], None]
) -> tuple[list[Frame], list[Path]]:
    """Frames without those that repeat an earlier one. Raises DataError for an image with two different cameras."""
    first: dict[Path, int] = {}
    for i, (frame, image) in enumerate(zip(frames, images, strict=True)):
        earlier = first.setdefault(image.resolve(), i)
        if earlier != i and (difference := _difference(meta, frames[earlier], frame, str(path))):
            raise DataError(
                f"{path}: frames {earlier} ('{frames[earlier].get('file_path')}') and {i} ('{frame.get('file_path')}') "
                f"are the same image, {os.path.relpath(image, root)}, with {difference}. Remove the one that is "
                f"wrong."
            )
    if len(first) < len(frames):
        repeated = next(i for i, image in enumerate(images) if first[image.resolve()] != i)
        warn(
            f"{len(frames) - len(first)} of {len(frames)} frames repeat an image and its camera, such as "
            f"'{frames[repeated].get('file_path')}'; each is used once"
        )
    kept = sorted(first.values())
    return [frames[i] for i in kept], [images[i] for i in kept]


def _difference(meta: Frame, one: Frame, other: Frame, where: str) -> str | None:
    """What tells the cameras of two frames apart, in words; None where they are the same."""
    poses = read_pose(one, where), read_pose(other, where)
    apart = float(np.linalg.norm(poses[0][:, 3] - poses[1][:, 3]))
    if apart > SAME * max(1e-12, float(np.linalg.norm(poses[0][:, 3]))):
        return f"different poses: their positions are {apart:.4g} apart"
    turned = float(np.abs(poses[0][:, :3] - poses[1][:, :3]).max())
    if turned > SAME:
        angle = 2.0 * math.degrees(math.asin(min(1.0, np.linalg.norm(poses[0][:, :3] - poses[1][:, :3]) / 8**0.5)))
        return f"different poses: they are turned by {angle:.3g} degrees"
    both = {**meta, **one}, {**meta, **other}
    key = next((key for key in (*LENS_KEYS, "mask_path") if both[0].get(key) != both[1].get(key)), None)
    return None if key is None else f"different {key}: {both[0].get(key)!r} and {both[1].get(key)!r}"


def split_images(
    path: Path, meta: Frame, frames: Sequence[Frame], images: Sequence[Path], warn: Callable[[str], None]
) -> dict[str, frozenset[Path]] | None:
    """The images of "train", "val" and "test" as the lists of nerfstudio name them; None without such lists.

    A list that is missing consists of what the others leave; val and test stand in for each other. Raises DataError
    where a list is none, or no image is left to train on."""
    if not any(meta.get(key) for key in SPLIT_KEYS):
        return None
    by_name = {comparable(str(frame["file_path"])): image for frame, image in zip(frames, images, strict=True)}
    lists = [_listed_images(path, meta, key, by_name, warn) for key in SPLIT_KEYS]
    train, val, test = lists
    train = train or set(images) - val - test
    rest = set(images) - train
    val, test = val or test or rest, test or val or rest
    if not train:
        raise DataError(
            f"{path}: {SPLIT_KEYS[0]} leaves no image to train on. Correct the three lists, or remove them."
        )
    if not val:
        warn("train_filenames names every frame, so dataset.holdout decides which views are held out")
        return None
    if both := train & (val | test):
        warn(f"{len(both)} of {len(images)} frames are in train_filenames and in the lists of held-out views too")
    if left := set(images) - train - val - test:
        warn(f"leaving out {len(left)} of {len(images)} frames, which are in none of {', '.join(SPLIT_KEYS)}")
    log.info(
        "%s: its lists divide the views: %d to train on, %d held out; dataset.holdout other than its default replaces "
        "them",
        *(path, len(train), len(val | test)),
    )
    return {"train": frozenset(train), "val": frozenset(val), "test": frozenset(test)}


def _listed_images(
    path: Path, meta: Frame, key: str, by_name: dict[tuple[str, ...], Path], warn: Callable[[str], None]
) -> set[Path]:
    names = meta.get(key) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: expected {key} to be a list of file_path values, got {str(names)[:80]!r}.")
    found = {name: _named(comparable(name), by_name) for name in names}
    unknown = [name for name in names if found[name] is None]
    if names and len(unknown) == len(names):
        raise DataError(
            f"{path}: expected file_path values in {key}, got names of no frame that is used, first '{unknown[0]}'. "
            f"Correct the list, or remove it; dataset.holdout then decides which views are held out."
        )
    if unknown:
        warn(f"{len(unknown)} of {len(names)} names in {key} are of no frame that is used, first '{unknown[0]}'")
    return {image for image in found.values() if image is not None}


def _named(parts: tuple[str, ...], by_name: Mapping[tuple[str, ...], Path]) -> Path | None:
    """The image that a name means by its parts, or, where it is one alone, whose path ends or is ended by them."""
    if parts in by_name:
        return by_name[parts]
    ends = [path for name, path in by_name.items() if parts[-len(name) :] == name or name[-len(parts) :] == parts]
    return ends[0] if parts and len(ends) == 1 else None


def first_folders(paths: Iterable[Path], root: Path) -> set[str]:
    """The names in `root` of the files, or of the folders in it that hold them."""
    return {Path(os.path.relpath(path, root)).parts[0] for path in paths}


def name_unused_keys(unused: Unused, path: Path, meta: Frame, frames: Sequence[Frame], splits_in_files: bool) -> None:
    """Names the keys of a file and of its frames that nothing reads; splits_in_files: as `blender` has them."""
    found = {key for block in (meta, *frames) for key in block}
    used = _USED if splits_in_files else _USED | _TRANSFORMS_USED
    replaced = {"camera_angle_x": "fl_x", "camera_angle_y": "fl_y", "is_fisheye": "camera_model"}
    unused.keys(path, found, used - {old for old, new in replaced.items() if new in found}, _KNOWN)
