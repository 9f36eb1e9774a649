"""Exporters: write a mesh as Wavefront OBJ or binary PLY, with its normals and colours; files appear only complete."""

from pathlib import Path
from typing import TextIO

import numpy as np

from utils.files import replacing
from utils.mesh import Mesh
from utils.registry import register

_LINES = 2**16  # lines of text formatted at a time


@register("exporter", "obj")
def write_obj(mesh: Mesh, path: Path) -> None:
    """Writes Wavefront OBJ text: `v x y z [r g b]` with colours in [0, 1], `vn`, and faces that count from one."""
    vertices, vertex = mesh.vertices, "v %.12g %.12g %.12g" if _needs_doubles(mesh) else "v %.8g %.8g %.8g"
    if mesh.colors is not None:
        vertices, vertex = np.hstack([vertices, mesh.colors / 255.0]), vertex + " %.5g %.5g %.5g"
    faces, face = mesh.faces + 1, "f %d %d %d\n"
    if mesh.normals is not None:
        faces, face = np.repeat(faces, 2, axis=1), "f %d//%d %d//%d %d//%d\n"
    with replacing(path) as temporary, open(temporary, "w", encoding="ascii", newline="\n") as file:
        _write_lines(file, vertex + "\n", vertices)
        if mesh.normals is not None:
            _write_lines(file, "vn %.5g %.5g %.5g\n", mesh.normals)
        _write_lines(file, face, faces)


@register("exporter", "ply")
def write_ply(mesh: Mesh, path: Path) -> None:
    """Writes binary little-endian PLY: float positions and normals, uchar colours, int faces.

    Positions are doubles where floats would distort the shape, as in large world coordinates."""
    position = ("double", "<f8") if _needs_doubles(mesh) else ("float", "<f4")
    columns = [(mesh.vertices, ("x", "y", "z"), position)]
    if mesh.normals is not None:
        columns.append((mesh.normals, ("nx", "ny", "nz"), ("float", "<f4")))
    if mesh.colors is not None:
        columns.append((mesh.colors, ("red", "green", "blue"), ("uchar", "u1")))
    table = np.empty(len(mesh.vertices), [(name, kind[1]) for _, names, kind in columns for name in names])
    for values, names, _ in columns:
        for axis, name in enumerate(names):
            table[name] = values[:, axis]
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    properties = [f"property {kind[0]} {name}" for _, names, kind in columns for name in names]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(table)}", *properties]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write("\n".join(header).encode("ascii"))
        table.tofile(file)
        faces.tofile(file)


def _needs_doubles(mesh: Mesh) -> bool:
    """Whether single precision would move a vertex by more than a millionth of the mesh's extent."""
    loss = np.abs(mesh.vertices - mesh.vertices.astype(np.float32)).max(initial=0.0)
    return bool(loss > 0.0 and loss > 1e-6 * np.ptp(mesh.vertices, axis=0).max())


def _write_lines(file: TextIO, line: str, rows: np.ndarray) -> None:
    for start in range(0, len(rows), _LINES):
        part = rows[start : start + _LINES]
        file.write(line * len(part) % tuple(part.ravel().tolist()))
