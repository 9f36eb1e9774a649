"""PLY files of meshes and point clouds."""

from pathlib import Path

import numpy as np

from utils.errors import DataError
from utils.files import replacing
from utils.mesh import Mesh


def write_ply(mesh: Mesh, path: Path) -> None:
    """Writes binary little-endian PLY: float positions and normals, uchar colours, ushort views, int faces.

    A mesh without faces is a point cloud. Positions are doubles where floats would distort the shape, as in large world
    coordinates. The file appears only complete."""
    position = ("double", "<f8") if needs_doubles(mesh) else ("float", "<f4")
    columns = [(mesh.vertices, ("x", "y", "z"), position)]
    if mesh.normals is not None:
        columns.append((mesh.normals, ("nx", "ny", "nz"), ("float", "<f4")))
    if mesh.colors is not None:
        columns.append((mesh.colors, ("red", "green", "blue"), ("uchar", "u1")))
    if mesh.views is not None:
        columns.append((mesh.views[:, None], ("views",), ("ushort", "<u2")))
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


def write_points(points: np.ndarray, colors: np.ndarray, path: Path) -> None:
    """Writes points (K, 3) float64 with colours (K, 3) uint8 as PLY, see `write_ply`."""
    write_ply(Mesh(points, np.zeros((0, 3), np.int64), colors=colors), path)


def read_vertices(path: Path) -> np.ndarray:
    """(V, 3) float64 vertices of a mesh or point cloud, of none to all; raises DataError where that cannot be read."""
    import trimesh  # a tenth of a second, and few need it

    try:
        with open(path, "rb") as file:  # not by its name, which might make it another kind of file
            loaded = trimesh.load(file, file_type="ply", process=False)
        vertices = np.asarray(getattr(loaded, "vertices", ()), dtype=np.float64).reshape(-1, 3)  # none: an empty scene
    except Exception as error:  # readers of damaged files raise whatever they stumble over
        raise DataError(
            f"{path}: expected a PLY file with vertices, got one that cannot be read ({error}). Save it again."
        ) from error
    if not np.isfinite(vertices).all():
        raise DataError(f"{path}: expected finite positions, got NaN or infinity. Remove these vertices.")
    return vertices


def needs_doubles(mesh: Mesh) -> bool:
    """Whether single precision would move a vertex by more than a millionth of the mesh's extent."""
    loss = np.abs(mesh.vertices - mesh.vertices.astype(np.float32)).max(initial=0.0)
    return bool(loss > 0.0 and loss > 1e-6 * np.ptp(mesh.vertices, axis=0).max())
