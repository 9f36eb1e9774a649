"""Reads triangle meshes from the files that other programs write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import DataError
from utils.images import srgb_from_linear
from utils.mesh import Mesh, Texture, join
from utils.mesh.measures import face_areas
from utils.mesh.opening import no_mesh, require_mesh_files
from utils.mesh.ply import read_written
from utils.mesh.stand import UPRIGHT
from utils.visualise import to_uint8


def read_mesh(path: Path | str, upright: bool = False) -> Mesh:
    """The triangles of a file with vertex colours or a texture, and view counts, if it has any, as they stand in it:
    nothing is merged.

    upright: as other readers see a glb that we wrote; else it is in the frame of the input, as our ply is.

    Raises DataError for a file that holds no surface: none at all, a point cloud, NaN, or no area."""
    require_mesh_files(Path(path))
    mesh = (read_written(path) if Path(path).suffix == ".ply" else None) or _read_any(path, upright)
    vertices, faces = mesh.vertices, mesh.faces
    if not len(faces):
        raise DataError(f"{path}: expected a mesh with triangles, got none. A point cloud has no surface.")
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
    if not 0.0 < face_areas(mesh).sum() < np.inf:
        raise DataError(f"{path}: expected a surface, got {len(faces)} faces without any area.")
    return mesh


def _read_any(path: Path | str, upright: bool = False) -> Mesh:
    """The mesh of a file, not checked for anything but that it can be read. Raises DataError."""
    import trimesh  # most of a second, and our own files do not need it

    try:
        loaded = _one_mesh(trimesh.load_scene(path, process=False), upright)
    except Exception as error:  # trimesh raises whatever its parsers raise
        raise no_mesh(path, f"an unreadable file: {' '.join(str(error).split()).rstrip('.')}") from error
    faces = np.array(getattr(loaded, "faces", ()), np.int64).reshape(-1, 3)
    if not len(faces):
        return Mesh(np.zeros((0, 3)), faces)
    vertices = np.array(loaded.vertices, np.float64)
    return Mesh(vertices, faces, colors=_colors(loaded), texture=_texture(loaded, faces), views=_views(loaded))


def read_meshes(paths: Sequence[Path | str]) -> Mesh:
    """All triangles of several files as one mesh. Raises DataError."""
    return join([read_mesh(path) for path in paths])


def _one_mesh(scene: Any, upright: bool) -> Any:
    """What a file holds, in its own coordinates; of a glb of ours in those of the input, unless it is to be `upright`.
    Only a single mesh keeps all its colours when it is put there."""
    if len(scene.geometry) != 1:
        return scene.to_mesh()
    ((name, loaded),) = scene.geometry.items()
    ours = UPRIGHT in scene.graph.nodes and not upright
    matrix, _ = scene.graph.get(scene.graph.geometry_nodes[name][0], UPRIGHT if ours else None)
    return loaded.apply_transform(matrix)


def _colors(loaded: Any) -> np.ndarray | None:
    """(V, 3) uint8 sRGB of the vertices; None without any."""
    if loaded.visual.kind == "vertex":
        return np.array(loaded.visual.vertex_colors[:, :3])
    linear = getattr(loaded.visual, "vertex_attributes", {}).get("color")  # of a glb with a material
    return None if linear is None else to_uint8(srgb_from_linear(linear[:, :3]))


def _views(loaded: Any) -> np.ndarray | None:
    """(V,) uint16 property `views` of the vertices of a ply; None without it."""
    vertex = loaded.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
    names = getattr(getattr(vertex, "dtype", None), "names", None) or ()
    if "views" not in names or len(vertex) != len(loaded.vertices):
        return None
    return np.array(vertex["views"]).ravel().clip(0, 65535).astype(np.uint16)


def _texture(loaded: Any, faces: np.ndarray) -> Texture | None:
    """The picture of the base colour and where faces (F, 3) lie on it; None without one."""
    places, material = getattr(loaded.visual, "uv", None), getattr(loaded.visual, "material", None)
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if places is None or image is None:
        return None
    return Texture(
        np.array(image.convert("RGB")), places * [1.0, -1.0] + [0.0, 1.0], faces
    )  # trimesh counts from below
