"""Exporters: write a mesh as Wavefront OBJ or binary PLY, with normals and texture or colours, whole or not at all."""

from pathlib import Path

import numpy as np

from systems.export.number_text import format_rows
from utils.files import replacing
from utils.images import write_png
from utils.mesh import Mesh, ply
from utils.registry import register

MATERIAL = "surface"


@register("exporter", "obj")
def write_obj(mesh: Mesh, path: Path) -> None:
    """Writes Wavefront OBJ text: `v x y z [r g b]` with colours in [0, 1], `vn`, and `f` with indices from one. A mesh
    with a texture has `vt` coordinates, a PNG and an MTL file beside the OBJ, and no vertex colours."""
    vertices, decimals = mesh.vertices, [_decimals(mesh)] * 3
    columns, separators = [mesh.faces], [" "]
    if mesh.texture is not None:
        columns.append(mesh.texture.corners)
        _write_material(mesh.texture.image, path)
    elif mesh.colors is not None:
        vertices, decimals = np.hstack([vertices, mesh.colors / 255.0]), decimals + [5] * 3
    if mesh.normals is not None:
        columns.append(mesh.faces)
        separators = ["//", " "]
    if len(columns) > 1 and mesh.texture is not None:
        separators = ["/"] * (len(columns) - 1) + [" "]
    with replacing(path) as temporary, open(temporary, "wb") as file:
        if mesh.texture is not None:
            file.write(f"mtllib {path.stem}.mtl\nusemtl {MATERIAL}\n".encode())
        file.writelines(format_rows("v", vertices, decimals))
        if mesh.texture is not None:
            uv = mesh.texture.places * [1.0, -1.0] + [0.0, 1.0]  # OBJ counts v from below
            file.writelines(format_rows("vt", uv, [7] * 2))
        if mesh.normals is not None:
            file.writelines(format_rows("vn", mesh.normals, [5] * 3))
        indices = np.stack(columns, axis=2).reshape(len(mesh.faces), -1) + 1
        file.writelines(format_rows("f", indices, [0] * indices.shape[1], separators * 3))


def _write_material(image: np.ndarray, path: Path) -> None:
    """Writes the texture and the material that names it, before the OBJ file that names both."""
    with replacing(path.with_suffix(".png")) as temporary:
        write_png(temporary, image)
    text = f"newmtl {MATERIAL}\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {path.stem}.png\n"
    with replacing(path.with_suffix(".mtl")) as temporary:
        temporary.write_text(text, encoding="utf-8")


@register("exporter", "ply")
def write_ply(mesh: Mesh, path: Path) -> None:
    """Writes binary little-endian PLY: float positions and normals, uchar colours, int faces; no texture.

    Positions are doubles if floats would distort the shape, as in large world coordinates."""
    ply.write_ply(mesh, path)


def _decimals(mesh: Mesh) -> int:
    """How many decimals positions have: eight significant digits of the largest, and more where they lie far from the
    origin, down to a ten-millionth of the mesh's extent or what a double tells."""
    largest = np.abs(mesh.vertices).max(initial=0.0)
    if not largest > 0.0:
        return 0
    digits = 8.0
    if ply.needs_doubles(mesh):
        digits = 8.0 + np.ceil(np.log10(largest / max(np.ptp(mesh.vertices, axis=0).max(), 1e-30)))
    return int(np.clip(min(digits, 16.0) - 1 - np.floor(np.log10(largest)), 0, 15))
