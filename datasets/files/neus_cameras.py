"""Reads the cameras of the NeuS and IDR layouts, projection matrices in an .npz file."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.files.unused import Unused, kinds_of_keys
from datasets.geometry.projection import decompose, scale_since_calibration
from utils.errors import DataError

_KNOWN = ("camera_mat_*", "camera_mat_inv_*", "world_mat_inv_*", "scale_mat_inv_*")


@dataclass(frozen=True)
class NeusCameras:
    """All cameras of an .npz file, in the frame where the object fills the unit sphere."""

    c2w: np.ndarray  # (N, 3, 4) float64, OpenCV
    intrinsics: np.ndarray  # (N, 4) float64 fx, fy, cx, cy for the images of the calibration; pixel centres at +1/2
    world_from_scene: np.ndarray  # (4, 4) float64, similarity
    numbers: tuple[int, ...]  # the i of world_mat_i, ascending; some may be missing


def read_neus_cameras(path: Path) -> NeusCameras:
    """The cameras world_mat_i @ scale_mat_i, in the order of i. Raises DataError."""
    arrays = _read_arrays(path)
    numbers = sorted(int(name[10:]) for name in arrays if name.startswith("world_mat_") and name[10:].isdecimal())
    if numbers and not any(name.startswith("scale_mat_") for name in arrays):
        raise DataError(
            f"{path}: expected normalised cameras, got world_mat_i without scale_mat_i, so nothing says where the "
            f"object is. Add scale_mat_i, for all i the matrix [[r,0,0,x],[0,r,0,y],[0,0,r,z],[0,0,0,1]] with the "
            f"centre x, y, z and the radius r of a sphere around the object, as preprocess_cameras.py of NeuS and IDR "
            f"does."
        )
    for name in [f"{kind}_mat_{i}" for i in numbers or [0] for kind in ("world", "scale")]:
        if name not in arrays:
            raise DataError(
                f"{path}: expected a scale_mat_i for each world_mat_i, got no {name}. Set dataset.cameras_file to the "
                f"normalised cameras of the scene (cameras_sphere.npz)."
            )
        if arrays[name].shape != (4, 4) or not np.isfinite(arrays[name]).all():
            raise DataError(
                f"{path}: expected {name} to be 4x4 finite numbers, got {arrays[name].shape} with NaN or inf."
            )
    scale_mats = {i: _similarity(arrays[f"scale_mat_{i}"], f"{path}, scale_mat_{i}") for i in numbers}
    scale_mat = scale_mats[numbers[0]]
    _check_scale_mats(path, scale_mat, scale_mats)
    _check_precision(path, scale_mat, np.stack([arrays[f"world_mat_{i}"] for i in numbers]))
    c2w, intrinsics = [], []
    for i in numbers:
        camera = decompose(arrays[f"world_mat_{i}"][:3].astype(np.float64) @ scale_mat, f"{path}, world_mat_{i}")
        c2w.append(camera[0])
        intrinsics.append(camera[1])
    intrinsics = np.stack(intrinsics)
    _check_ahead(path, np.stack(c2w))
    # the calibration put pixel centres on integers
    intrinsics[:, 2:] += 0.5 * scale_since_calibration(intrinsics, str(path))
    return NeusCameras(np.stack(c2w), intrinsics, scale_mat, tuple(numbers))


def name_unused_arrays(unused: Unused, path: Path) -> None:
    """Names the kinds of arrays in a file that `read_neus_cameras` does not read, such as camera_mat_i."""
    with zipfile.ZipFile(path) as file:
        found = kinds_of_keys(name.removesuffix(".npy") for name in file.namelist())
    unused.keys(path, found, ("world_mat_*", "scale_mat_*"), _KNOWN)


def _check_precision(path: Path, scale_mat: np.ndarray, world_mats: np.ndarray) -> None:
    """Refuses matrices of single precision so far from the origin that they blur cameras by more than half a pixel in a
    thousand."""
    away = float(np.linalg.norm(scale_mat[:3, 3]) / np.cbrt(np.linalg.det(scale_mat[:3, :3])))
    if away * np.finfo(np.float32).eps > 5e-4 and (world_mats == world_mats.astype(np.float32)).all():
        raise DataError(
            f"{path}: expected matrices of double precision, since the object is {away:.2g} times its radius from the "
            f"origin, got single precision. Write them as float64, or in coordinates whose origin is near the object."
        )


def _check_ahead(path: Path, c2w: np.ndarray) -> None:
    """Most cameras outside of the unit sphere have its centre before them; behind all of them are mirrored matrices."""
    outside = c2w[np.linalg.norm(c2w[:, :, 3], axis=1) > 1.0]
    ahead = -(outside[:, :, 2] * outside[:, :, 3]).sum(axis=1) > 0.0
    if len(outside) and ahead.mean() < 0.5:
        raise DataError(
            f"{path}: expected the object before the cameras, got it behind {int((~ahead).sum())} of {len(outside)}: a "
            f"negative focal length or a mirrored axis is in world_mat_i, or scale_mat_i has its centre elsewhere. "
            f"Write K [R | t] with focal lengths above 0 and a rotation without reflection, and scale_mat_i with the "
            f"centre of the object."
        )


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
    except Exception as error:  # a damaged file may raise anything
        raise DataError(
            f"{path}: expected an .npz file of plain 4x4 arrays, got one that cannot be read ({error})."
        ) from error


def _read_matrix(file: zipfile.ZipFile, name: str) -> np.ndarray:
    """A 4x4 array of numbers. Raises ValueError for any other, before it allocates memory."""
    with file.open(name) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(member)
    if shape != (4, 4) or kind.kind not in "fiu":
        raise ValueError(f"{name} is {kind} of shape {shape}")
    with file.open(name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _similarity(matrix: np.ndarray, where: str) -> np.ndarray:
    """(4, 4) float64 with 0, 0, 0, 1 as its last row. Raises DataError for one with a perspective part."""
    matrix = matrix.astype(np.float64)
    if not matrix[3, 3] > 0.0 or np.abs(matrix[3, :3]).max() > 1e-6 * matrix[3, 3]:
        raise DataError(
            f"{where}: expected 0, 0, 0, 1 as the last row, got {matrix[3].tolist()}. Write the centre of the sphere "
            f"into the last column, not transposed."
        )
    return matrix / matrix[3, 3]


def _check_scale_mats(path: Path, scale_mat: np.ndarray, all_mats: dict[int, np.ndarray]) -> None:
    """The scene frame is one similarity for all views."""
    scales = np.linalg.svd(scale_mat[:3, :3], compute_uv=False)
    is_mirrored = np.linalg.det(scale_mat[:3, :3]) <= 0
    if is_mirrored or scales[0] > scales[2] * 1.001:
        raise DataError(
            f"{path}: expected scale_mat_i to scale uniformly and without reflection, got scales "
            f"{np.round(scales, 4).tolist()}{', mirrored' if is_mirrored else ''}. Write the radius of a sphere around "
            f"the object for each of the three, above 0."
        )
    off = [i for i, other in all_mats.items() if np.abs(other - scale_mat).max() > 1e-3 * scales[0]]
    if off:
        raise DataError(
            f"{path}: expected one scale_mat for all views, got another in scale_mat_{off[0]}. Normalise "
            f"all cameras of the scene with the same matrix."
        )
