"""Exporters: write a mesh as Wavefront OBJ or binary PLY, with its normals and colours; files appear only complete."""

from pathlib import Path

import numpy as np

from utils import ply
from utils.files import replacing
from utils.mesh import Mesh
from utils.number_text import format_rows
from utils.registry import register


@register("exporter", "obj")
def write_obj(mesh: Mesh, path: Path) -> None:
    """Writes Wavefront OBJ text: `v x y z [r g b]` with colours in [0, 1], `vn`, and faces that count from one."""
    digits = 12 if ply.needs_doubles(mesh) else 8
    vertices, decimals = mesh.vertices, [_decimals(mesh.vertices, digits)] * 3
    if mesh.colors is not None:
        vertices, decimals = np.hstack([vertices, mesh.colors / 255.0]), decimals + [5] * 3
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.writelines(format_rows("v", vertices, decimals))
        if mesh.normals is not None:
            file.writelines(format_rows("vn", mesh.normals, [5] * 3))
        file.writelines(format_rows("f", mesh.faces + 1, [0] * 3, slashes=mesh.normals is not None))


@register("exporter", "ply")
def write_ply(mesh: Mesh, path: Path) -> None:
    """Writes binary little-endian PLY: float positions and normals, uchar colours, int faces.

    Positions are doubles where floats would distort the shape, as in large world coordinates."""
    ply.write_ply(mesh, path)


def _decimals(values: np.ndarray, digits: int) -> int:
    """Decimals that give the largest of the values so many significant digits."""
    largest = np.abs(values).max(initial=0.0)
    return int(np.clip(digits - 1 - np.floor(np.log10(largest)), 0, 15)) if largest > 0.0 else 0
