"""Reads the ground truth of the DTU benchmark, in the layout in which its authors publish it."""

from pathlib import Path

import numpy as np

from utils.errors import DataError
from utils.mesh.ply import read_vertices
from utils.metrics.dtu import DTUScan


def read_scan(folder: Path, number: int) -> DTUScan:
    """The truth of scan `number` from a folder with Points/stl and ObsMask. Raises DataError."""
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder. Give the one that holds Points/stl/stl{number:03d}_total.ply and "
            f"ObsMask/ObsMask{number}_10.mat, from https://roboimagedata.compute.dtu.dk."
        )
    points_path = folder / "Points" / "stl" / f"stl{number:03d}_total.ply"
    points = read_vertices(points_path)
    if not len(points):
        raise DataError(
            f"{points_path}: expected the points of the scanner, got a file without points. Download the file again."
        )
    path = folder / "ObsMask" / f"ObsMask{number}_10.mat"
    observed = _read_mat(path, {"ObsMask": 3, "BB": 2, "Res": 2})
    plane_path, plane_path_above = folder / "ObsMask" / f"Plane{number}.mat", folder / f"Plane{number}.mat"
    plane = _read_mat(
        plane_path_above if plane_path_above.is_file() and not plane_path.is_file() else plane_path, {"P": 2}
    )["P"]
    box, cell = observed["BB"].astype(np.float64), observed["Res"].astype(np.float64)
    if box.shape != (2, 3) or cell.size != 1 or not cell.item() > 0.0 or not (box[1] > box[0]).all():
        raise DataError(
            f"{path}: expected BB to be 2x3, lowest and highest corner, and Res to be one length, got {box.shape} and "
            f"{cell.shape}. Download the file again."
        )
    if plane.size != 4:
        raise DataError(f"{folder}: expected P of Plane{number}.mat to be 4 numbers, got shape {plane.shape}.")
    return DTUScan(points, observed["ObsMask"] > 0, box, cell.item(), plane.astype(np.float64).ravel())


def _read_mat(path: Path, names: dict[str, int]) -> dict[str, np.ndarray]:
    """The arrays of a MATLAB file by their names; names: how many dimensions each has."""
    from scipy.io import loadmat  # slow to import, and needed only here

    if not path.is_file():
        raise DataError(f"{path}: no such file. The folder of DTU's ground truth holds Points/stl/ and ObsMask/.")
    try:
        arrays = loadmat(path, variable_names=list(names))
    except Exception as error:  # a damaged file may raise anything
        raise DataError(f"{path}: expected a MATLAB file, got one that cannot be read ({error}).") from error
    for name, dimensions in names.items():
        if name not in arrays or np.ndim(arrays[name]) != dimensions:
            raise DataError(f"{path}: expected an array {name} of {dimensions} dimensions, got none.")
    return {name: arrays[name] for name in names}
