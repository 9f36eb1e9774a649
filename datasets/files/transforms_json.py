"""Reads the frames of a NeRF-style JSON file: image path, pose and pinhole intrinsics of each view."""

import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datasets.files.json_files import read_json, to_number
from datasets.files.lens_models import COEFFICIENTS, distortion, lens_kind
from datasets.files.names import is_absolute
from datasets.files.neus2 import with_common_keys
from datasets.files.orientation import CameraShape
from datasets.geometry.lens import Lens, check_focal_lengths, check_in_pixels
from utils.errors import DataError

_OFF_CENTRE, _AT_CENTRE = 0.25, 0.1  # distance of a principal point from the centre, as a share of half the image
_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp")
LENS_KEYS = (  # of a frame or the file
    *("w", "h", "fl_x", "fl_y", "cx", "cy", "camera_angle_x", "camera_angle_y", "camera_model", "is_fisheye"),
    *COEFFICIENTS,
)


class MissingFileError(DataError):
    """A file that a frame names is not there."""


def read_frames(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The whole JSON object and its list of frames, which is never empty. Raises DataError."""
    meta = read_json(path, "a JSON file")
    frames = meta.get("frames") if isinstance(meta, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        got = "an empty list" if frames == [] else f"no such list but {type(frames).__name__}"
        raise DataError(
            f"{path}: expected 'frames', a list of views with file_path and transform_matrix, got {got}. "
            f"Export the cameras again, or point dataset.root_dir to another folder."
        )
    return meta, with_common_keys(meta, frames, path)


def find_file(root: Path, name: Any, key: str, where: Path | str) -> Path:
    """A file below `root` that `key` names: as written, with an extension added, or its extension in the other case.

    Raises DataError."""
    if not isinstance(name, str) or not name:
        raise DataError(f"{where}: expected {key} to be a path, got {name!r}.")
    # compares the path as written; `require_inside` checks where links lead once all files are known
    base = os.path.abspath(root)
    path = os.path.normpath(os.path.join(base, name.replace("\\", "/")))
    if not Path(path).is_relative_to(base) and is_absolute(name) and not os.path.exists(name):
        raise MissingFileError(
            f"{where}: no file for {key} '{name}', a path of another machine: none in {root} ends like it, or several "
            f"do. Add it, or write the path relative to the folder."
        )
    if not Path(path).is_relative_to(base):
        raise DataError(f"{where}: {key} '{name}' leaves the dataset folder {root}. Write it relative to the folder.")
    stem, suffix = os.path.splitext(path)
    candidates = [path, stem + suffix.lower(), stem + suffix.upper()]
    candidates += [path + extension for e in _EXTENSIONS for extension in (e, e.upper())]
    for candidate in candidates:
        if os.path.isfile(candidate):
            return Path(candidate)
    raise MissingFileError(
        f"{where}: no file for {key} '{name}'. Tried {path} as written and with {', '.join(_EXTENSIONS)} added. "
        f"Add it, or remove the frame."
    )


def read_matrix(value: Any, shapes: tuple[tuple[int, int], ...], key: str, where: str) -> np.ndarray:
    """A float64 matrix of one of `shapes` from nested lists. Raises DataError."""
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        matrix = np.empty(0)
    if value is None:
        raise DataError(f"{where}: expected {key}, a matrix, got none. Export the cameras again, or write it.")
    if matrix.shape not in shapes:
        expected = " or ".join(f"{rows}x{columns}" for rows, columns in shapes)
        raise DataError(
            f"{where}: expected {key} to be {expected} numbers, as a list of rows, got shape {matrix.shape}."
        )
    if not np.isfinite(matrix).all():
        raise DataError(f"{where}: {key} holds NaN or infinity. Export it again, or remove the frame.")
    return matrix


def read_pose(frame: dict[str, Any], where: str) -> np.ndarray:
    """(3, 4) float64 camera-to-world of a frame, in OpenCV axes, rotation orthonormal.

    The file holds a 4x4 or 3x4 matrix in OpenGL axes (x right, y up, z backwards). A uniform scale of the rotation is
    removed."""
    matrix = read_matrix(frame.get("transform_matrix"), ((4, 4), (3, 4)), "transform_matrix", where)
    matrix = matrix if len(matrix) == 4 else np.vstack([matrix, [0.0, 0.0, 0.0, 1.0]])
    if np.abs(matrix[3] - [0.0, 0.0, 0.0, 1.0]).max() > 1e-6:
        raise DataError(
            f"{where}: expected 0, 0, 0, 1 as the last row of transform_matrix, got {matrix[3].tolist()}. Write the "
            f"position into the last column: rows one after the other, not transposed, and not scaled as a whole."
        )
    scale = np.cbrt(np.linalg.det(matrix[:3, :3]))
    rotation = matrix[:3, :3] / scale if scale > 0 else np.zeros((3, 3))
    deviation = np.abs(rotation.T @ rotation - np.eye(3)).max()
    if deviation > 1e-3:
        raise DataError(
            f"{where}: expected a rotation in transform_matrix, got columns that are not orthonormal or are mirrored "
            f"(off by {deviation:.2g}, determinant {np.linalg.det(matrix[:3, :3]):.3g})."
        )
    left, _, right = np.linalg.svd(rotation)
    c2w = np.concatenate([left @ right, matrix[:3, 3:]], axis=1)
    c2w[:, 1:3] *= -1.0  # OpenGL file -> OpenCV, the only flip
    return c2w


def read_intrinsics(meta: dict[str, Any], frame: dict[str, Any], size: tuple[int, int], where: str) -> np.ndarray:
    """(4,) float64 fx, fy, cx, cy in pixels of an image of `size` (width, height); pixel centres at +1/2.

    A frame's own values override those of the file. Scales fl_x, fl_y, cx, cy from w x h to `size`. Raises DataError
    for a lens with distortion."""
    lens = read_lens(meta, frame, where, size)
    if lens.model != "PINHOLE":
        raise DataError(
            f"{where}: expected a pinhole camera, got lens distortion ({lens.model}). Undistort the "
            f"images, or set dataset.name=transforms, which undistorts them."
        )
    return np.array(lens.params)


def read_lens(meta: dict[str, Any], frame: dict[str, Any], where: str, size: tuple[int, int]) -> Lens:
    """The camera model of a frame for an image of `size` (width, height); see `read_intrinsics`.

    Distortion is that of camera_model or is_fisheye, see `distortion`. Raises DataError."""
    values = {**meta, **frame}
    kind = lens_kind(values, where)
    width, height = _number(values, "w", size[0], where), _number(values, "h", size[1], where)
    if min(width, height) <= 0 or abs(width * size[1] / (height * size[0]) - 1.0) > 0.01:
        raise DataError(
            f"{where}: intrinsics are for {width:g}x{height:g}, but the image is {size[0]}x{size[1]}, another "
            f"aspect ratio. Correct w and h, or use the images that the cameras were made for."
        )
    focal_x = _number(values, "fl_x", _focal(values, "camera_angle_x", width, where), where)
    focal_y = _number(values, "fl_y", _focal(values, "camera_angle_y", height, where), where)
    if focal_x is None and focal_y is None:
        raise DataError(
            f"{where}: expected camera_angle_x (radians) or fl_x (pixels) in the frame or file, got neither."
        )
    focal_x = focal_y if focal_x is None else focal_x
    focal_y = focal_x if focal_y is None else focal_y
    check_focal_lengths(focal_x, focal_y, where)
    centre_x, centre_y = _number(values, "cx", width / 2, where), _number(values, "cy", height / 2, where)
    intrinsics = np.array([focal_x, focal_y, centre_x, centre_y])
    check_in_pixels(intrinsics, (width, height), where)
    _check_centre(intrinsics[2:], (width, height), size, values, where)
    intrinsics *= np.tile([size[0] / width, size[1] / height], 2)
    model, coefficients = distortion(kind, values, partial(_value, values, where), where)
    return Lens(model, size, (*intrinsics, *coefficients))


def _check_centre(
    centre: np.ndarray, told: tuple[float, float], size: tuple[int, int], values: dict[str, Any], where: str
) -> None:
    """Raises DataError where the principal point (2,) is that of images of another size than `told`, by w and h or else
    the `size` of the image."""
    off, off_image = (np.abs(2.0 * centre / extent - 1.0).max() for extent in (np.array(told), np.array(size)))
    if values.get("w") is None and values.get("h") is None and off > _OFF_CENTRE:
        raise DataError(
            f"{where}: the principal point ({centre[0]:g}, {centre[1]:g}) is not near the centre of the image, "
            f"{size[0]}x{size[1]}, and no w and h tell which size it is for. Add w and h: those of the images that the "
            f"cameras were made for, or {size[0]} and {size[1]} if the images were cropped."
        )
    if off > _OFF_CENTRE and off_image < _AT_CENTRE:
        raise DataError(
            f"{where}: w and h are {told[0]:g} and {told[1]:g}, but the principal point ({centre[0]:g}, "
            f"{centre[1]:g}) is the centre of the image, {size[0]}x{size[1]}. Write w and h of the images that fl_x, "
            f"fl_y, cx and cy are for."
        )


def read_shape(meta: dict[str, Any], frame: dict[str, Any], where: str) -> CameraShape | None:
    """The images that the camera of a frame is for, by w and h or else by its principal point; None without these.

    Raises DataError."""
    values = {**meta, **frame}
    for names, factor in ((("w", "h"), 1.0), (("cx", "cy"), 2.0)):
        numbers = [_number(values, name, None, where) for name in names]
        if None not in numbers:
            return CameraShape((factor * numbers[0], factor * numbers[1]), names[0] == "cx")
    return None


def _focal(values: dict[str, Any], key: str, length: float, where: str) -> float | None:
    """Focal length in pixels from a field of view over `length` pixels; None when the file has none."""
    angle = _number(values, key, None, where)
    if angle is None:
        return None
    if not 0.0 < angle < math.pi:
        raise DataError(f"{where}: expected {key} between 0 and pi radians, got {angle:g}. Is it in degrees?")
    return 0.5 * length / math.tan(0.5 * angle)


def _value(values: dict[str, Any], where: str, key: str, default: float | None) -> float | None:
    return _number(values, key, default, where)


def _number(values: dict[str, Any], key: str, default: float | None, where: str) -> float | None:
    value = default if values.get(key) is None else values[key]  # null counts as missing
    return None if value is None else to_number(value, key, where)
