"""Packs a mesh into a few hundred kilobytes of text, for the mesh viewer of a page."""

from base64 import b64encode
from dataclasses import replace
from typing import Any

import numpy as np

from utils.mesh import Mesh
from utils.mesh.decimation import clustered, decimate
from utils.mesh.measures import vertex_normals

_STEPS = 65535  # the longest side of the box, in steps of a packed position


def pack_mesh(mesh: Mesh, max_faces: int) -> dict[str, Any]:
    """The mesh with at most about `max_faces` faces, as plain values whose arrays are base64, little endian.

    positions: uint16 (V, 3) from `low`, 65535 stands for `size` in the mesh's unit; normals: int8 (V, 3), 127 stands
    for 1; colors: uint8 (V, 3) sRGB, or None if the mesh has none; indices: (F, 3) uint16, or uint32 if `wide`;
    views: uint8 (V,), how many photographs see a vertex, 255 at most, or None if the mesh does not say. Normals,
    colours and views are those of the nearest vertices of the whole mesh."""
    num_faces = len(mesh.faces)
    mesh = replace(mesh, normals=None, colors=vertex_colors(mesh), texture=None)
    mesh = clustered(mesh, max_faces)
    small = decimate(mesh, max_faces)
    low = small.vertices.min(axis=0)
    extent = small.vertices.max(axis=0) - low
    size = float(extent.max())
    nearest = np.arange(len(mesh.vertices))
    if small is not mesh:
        from scipy.spatial import cKDTree  # half a second, which a sweep that plans does not need

        tree = cKDTree(mesh.vertices, compact_nodes=False, balanced_tree=False)  # asked once: built quickly
        nearest = tree.query(small.vertices, workers=-1)[1]
    normals = vertex_normals(mesh) if mesh.normals is None else mesh.normals
    wide = len(small.vertices) > _STEPS
    return {
        "vertices": len(small.vertices),
        "faces": len(small.faces),
        "faces_of_file": num_faces,
        "low": low.tolist(),
        "size": size,
        "extent": (extent / size).tolist(),
        "positions": _text(np.rint((small.vertices - low) / size * _STEPS), "<u2"),
        "normals": _text(np.rint(normals[nearest] * 127.0), "i1"),
        "views": None if mesh.views is None else _text(np.minimum(mesh.views[nearest], 255), "u1"),
        "colors": None if mesh.colors is None else _text(mesh.colors[nearest], "u1"),
        "indices": _text(small.faces, "<u4" if wide else "<u2"),
        "wide": wide,
    }


def vertex_colors(mesh: Mesh) -> np.ndarray | None:
    """(V, 3) uint8 sRGB of the vertices, read from the texture if the mesh has one; None without colours."""
    if mesh.texture is None:
        return mesh.colors
    colors = np.zeros((len(mesh.vertices), 3), np.uint8)
    sampled = mesh.texture.sample(mesh.texture.places[mesh.texture.corners.reshape(-1)])
    colors[mesh.faces.reshape(-1)] = np.rint(255.0 * sampled)
    return colors


def _text(values: np.ndarray, kind: str) -> str:
    return b64encode(np.ascontiguousarray(values.astype(kind)).tobytes()).decode("ascii")
