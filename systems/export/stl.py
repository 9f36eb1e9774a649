"""Exporter: a mesh as binary STL, for printers: upright, in millimetres where the scale is known."""

from pathlib import Path

import numpy as np

from utils.files import replacing
from utils.mesh import Mesh
from utils.registry import register

_HEADER = 80  # bytes of text, which must not begin with "solid"


@register("exporter", "stl")
def write_stl(mesh: Mesh, path: Path) -> None:
    """Writes binary STL without colours: +z is up and the ground z = 0 as the mesh's `stand` says; the unit, which the
    header names, is a millimetre, or that of the scene if its length is not known.

    Corners are equal where faces meet, so readers find the surface closed that the mesh is."""
    matrix, text = mesh.stand.upright(mesh.vertices, "z"), "scene units"
    if mesh.stand.metres_per_unit is not None:
        matrix, text = np.diag([1e3, 1e3, 1e3, 1.0]) @ matrix, "millimetres"
    vertices = mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]
    extent = np.ptp(vertices, axis=0).max(initial=0.0)
    middle = vertices.mean(axis=0) * [1.0, 1.0, 0.0]
    if np.abs(middle).max() > extent:  # far from the origin floats would distort the shape
        vertices = vertices - middle
    corners = vertices.astype("<f4")[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(min=1e-30)
    faces = np.zeros(len(corners), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("unused", "<u2")])
    faces["normal"], faces["corners"] = normals, corners
    header = f"PhotoSurf, {text}, +z is up".encode().ljust(_HEADER, b"\0")
    with replacing(path) as temporary:
        temporary.write_bytes(header + np.uint32(len(faces)).tobytes() + faces.tobytes())
