"""Reads triangle meshes from the files that other programs write."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.errors import DataError
from utils.mesh import Mesh, face_areas, join


def read_mesh(path: Path | str) -> Mesh:
    """The triangles of a file with their vertex colours, if it has any, as they stand in it: nothing is merged.

    Raises DataError for a file that holds no surface: none at all, a point cloud, NaN, or no area."""
    import trimesh  # a tenth of a second, and few need it

    if not Path(path).is_file():
        raise DataError(f"{path}: no such file. Give the path of a mesh, for example exp/<name>/<tag>/save/*.ply.")
    try:
        found = trimesh.load(path, process=False, maintain_order=True, force="mesh")
    except Exception as error:  # trimesh raises whatever its parsers raise
        raise DataError(
            f"{path}: expected a ply, obj, glb, stl or off mesh, got an unreadable file: {error}"
        ) from error
    faces = np.array(getattr(found, "faces", ()), np.int64).reshape(-1, 3)
    if not len(faces):
        raise DataError(f"{path}: expected a mesh with triangles, got none. A point cloud has no surface.")
    vertices = np.array(found.vertices, np.float64)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise DataError(f"{path}: a face names a vertex outside of 0 to {len(vertices) - 1}. Save the mesh again.")
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    vertices[~used] = 0.0  # where they lie says nothing of the surface
    num_broken = int((~np.isfinite(vertices)).any(axis=1).sum())
    if num_broken:
        raise DataError(
            f"{path}: expected finite positions, got NaN or infinity in {num_broken} vertices. Remove them."
        )
    colors = np.array(found.visual.vertex_colors[:, :3]) if found.visual.kind == "vertex" else None
    mesh = Mesh(vertices, faces, colors=colors)
    if not 0.0 < face_areas(mesh).sum() < np.inf:
        raise DataError(f"{path}: expected a surface, got {len(faces)} faces without any area.")
    return mesh


def read_meshes(paths: Sequence[Path | str]) -> Mesh:
    """All triangles of several files as one mesh. Raises DataError."""
    return join([read_mesh(path) for path in paths])
