"""Cameras of the NeuS/IDR layout: projection matrices in an .npz file, taken apart and fitted to the images."""

import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.errors import DataError

log = logging.getLogger(__name__)
# a decentred principal point looks like a small change of size, so that only whole factors can be told with certainty
_FACTORS = tuple(factor for n in (2, 3, 4, 5, 6, 7, 8, 10, 12, 16) for factor in (float(n), 1.0 / n))
_DTU_CAMERA = np.array([2892.33, 2883.175, 823.205, 619.071])  # fx, fy, cx, cy at _DTU_SIZE, pixel centres on integers
_DTU_SIZE = 1600, 1200
_OFF_CENTRE = 0.10  # how far a principal point may lie from the centre, as a share of half the image
_OFF_FACTOR = 0.05  # the same, where a factor has to be inferred from it


@dataclass(frozen=True)
class Cameras:
    """All cameras of an .npz file, in the frame where the object fills the unit sphere."""

    c2w: np.ndarray  # (N, 3, 4) float64, OpenCV
    intrinsics: np.ndarray  # (N, 4) float64 fx, fy, cx, cy, pixel centres at +1/2, for the size they were made for
    world_from_scene: np.ndarray  # (4, 4) float64, similarity


def read_cameras(path: Path) -> Cameras:
    """The cameras world_mat_i @ scale_mat_i for i = 0, 1, ... Raises DataError."""
    arrays = _read_arrays(path)
    count = sum(name.startswith("world_mat_") and not name.startswith("world_mat_inv_") for name in arrays)
    for name in [f"{kind}_mat_{i}" for i in range(max(count, 1)) for kind in ("world", "scale")]:
        if name not in arrays:
            raise DataError(
                f"{path}: expected world_mat_i and scale_mat_i for i = 0 to {max(count, 1) - 1}, got no {name}. "
                f"Set dataset.cameras_file to the normalised cameras of the scene (cameras_sphere.npz)."
            )
        if arrays[name].shape != (4, 4) or not np.isfinite(arrays[name]).all():
            raise DataError(
                f"{path}: expected {name} to be 4x4 finite numbers, got {arrays[name].shape} with NaN or inf."
            )
    scale_mat = arrays["scale_mat_0"].astype(np.float64)
    _check_scale_mats(path, scale_mat, np.stack([arrays[f"scale_mat_{i}"] for i in range(count)]))
    c2w, intrinsics = [], []
    for i in range(count):
        camera = decompose(arrays[f"world_mat_{i}"][:3].astype(np.float64) @ scale_mat, f"{path}, world_mat_{i}")
        c2w.append(camera[0])
        intrinsics.append(camera[1])
    found = np.stack(intrinsics)
    found[:, 2:] += 0.5 * _scale_since_calibration(found, path)  # the calibration put pixel centres on integers
    return Cameras(np.stack(c2w), found, scale_mat)


def _scale_since_calibration(intrinsics: np.ndarray, path: Path) -> float:
    """By what a file was rescaled after its calibration; 1 where nothing tells.

    All scans of DTU were taken by one camera at one size: files that were made to fit smaller images show by it, and
    half a pixel of the calibration is less than one of theirs."""
    ratio = np.median(intrinsics, axis=0) / _DTU_CAMERA
    scale = float(np.median(ratio))
    if np.abs(ratio / scale - 1.0).max() > 1e-4:
        return 1.0
    if abs(scale - 1.0) > 1e-3:
        log.info(
            "%s: the camera of DTU, calibrated at %dx%d and rescaled by %.4g; so is the half pixel between their "
            "conventions",
            *(path, *_DTU_SIZE, scale),
        )
    return scale


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(
            f"{path}: no such file. A NeuS scene holds image/, mask/ and {path.name}; set dataset.root_dir to the "
            f"folder that contains them, or dataset.cameras_file to the name of the file."
        )
    try:
        with zipfile.ZipFile(path) as file:
            names = [name for name in file.namelist() if name.startswith(("world_mat_", "scale_mat_"))]
            return {name.removesuffix(".npy"): _read_matrix(file, name) for name in names}
    except Exception as error:  # a damaged file raises whatever its reader stumbles over
        raise DataError(
            f"{path}: expected an .npz file of plain 4x4 arrays, got one that cannot be read ({error})."
        ) from error


def _read_matrix(file: zipfile.ZipFile, name: str) -> np.ndarray:
    """A 4x4 array of numbers. Raises ValueError for any other, before memory is taken for it."""
    with file.open(name) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(member)
    if shape != (4, 4) or kind.kind not in "fiu":
        raise ValueError(f"{name} is {kind} of shape {shape}")
    with file.open(name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _check_scale_mats(path: Path, scale_mat: np.ndarray, all_mats: np.ndarray) -> None:
    """The scene frame is one similarity for all views."""
    scales = np.linalg.svd(scale_mat[:3, :3], compute_uv=False)
    if np.linalg.det(scale_mat[:3, :3]) <= 0 or scales[0] > scales[2] * 1.001:
        raise DataError(f"{path}: expected scale_mat_0 to scale uniformly, got scales {np.round(scales, 4).tolist()}.")
    off = np.abs(all_mats - scale_mat).max(axis=(1, 2)) > 1e-3 * scales[0]
    if off.any():
        raise DataError(
            f"{path}: expected one scale_mat for all views, got another in scale_mat_{int(off.argmax())}. Normalise "
            f"all cameras of the scene with the same matrix."
        )


def decompose(projection: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """c2w (3, 4) and fx, fy, cx, cy (4,) of a projection matrix (3, 4) ~ K [R | t], of any scale and sign.

    cx, cy keep the pixel convention of the matrix. Raises DataError for a singular matrix or a skewed K."""
    sign = np.sign(np.linalg.det(projection[:, :3]))
    if sign == 0 or np.linalg.cond(projection[:, :3]) > 1e9:
        raise DataError(f"{where}: expected a projection matrix K [R | t], got a singular one.")
    projection = sign * projection
    # RQ from QR: flipping rows and columns turns lower into upper triangles
    q, r = np.linalg.qr(projection[::-1, :3].T)
    upper, rotation = r.T[::-1, ::-1], q.T[::-1]
    signs = np.sign(np.diag(upper))
    upper, rotation = upper * signs, rotation * signs[:, None]
    calibration = upper / upper[2, 2]
    if abs(calibration[0, 1]) > 2e-3 * calibration[0, 0]:
        raise DataError(f"{where}: expected square pixel axes, got a skew of {calibration[0, 1]:.3g} pixels.")
    translation = np.linalg.solve(upper, projection[:, 3])
    c2w = np.concatenate([rotation.T, (-rotation.T @ translation)[:, None]], axis=1)
    return c2w, calibration[[0, 1, 0, 1], [0, 1, 2, 2]]


def fit_to_images(intrinsics: np.ndarray, sizes: np.ndarray, where: str) -> np.ndarray:
    """(N, 4) intrinsics for images of `sizes` (N, 2) on disk, from those of the size that the file was made for.

    The file does not name that size, but its principal points lie near the image centre. Raises DataError when
    they fit neither the images nor images resized by a common whole factor; says so when they are rescaled."""
    ratio = np.median(2.0 * intrinsics[:, 2:] / sizes, axis=0)
    if np.abs(ratio - 1.0).max() <= _OFF_CENTRE:
        return intrinsics
    factor = min(_FACTORS, key=lambda f: float(np.abs(ratio / f - 1.0).max()))
    width, height = sizes[0]
    if np.abs(ratio / factor - 1.0).max() > _OFF_FACTOR:
        centre = np.median(intrinsics[:, 2:], axis=0)
        raise DataError(
            f"{where}: its principal point ({centre[0]:.1f}, {centre[1]:.1f}) is not near the centre of the images "
            f"({width}x{height}), nor of images resized by a whole factor. Use the images for which the cameras were "
            f"made, and set dataset.img_downscale to train on smaller ones."
        )
    log.warning(
        "%s: made for images of about %dx%d, those on disk have %dx%d; intrinsics divided by %g",
        *(where, round(width * factor), round(height * factor), width, height, factor),
    )
    return intrinsics / factor
