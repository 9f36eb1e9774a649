"""PLY files of meshes and point clouds."""

from pathlib import Path

import numpy as np

from utils.errors import DataError
from utils.files import replacing
from utils.mesh import Mesh

_OPENING, _LIST = ("ply", "format binary_little_endian 1.0"), "property list uchar int vertex_indices"
_KINDS = {"float": "<f4", "double": "<f8", "uchar": "u1", "ushort": "<u2"}
_FACE = np.dtype([("count", "u1"), ("corners", "<i4", 3)])
_MAX_HEADER = 1000  # bytes of what `write_ply` puts in front


def write_ply(mesh: Mesh, path: Path) -> None:
    """Writes binary little-endian PLY: float positions and normals, uchar colours, ushort views, int faces.

    A mesh without faces is a point cloud. Positions are doubles where floats would distort the shape, as in large world
    coordinates. The file appears only complete."""
    columns = [(mesh.vertices, ("x", "y", "z"), "double" if needs_doubles(mesh) else "float")]
    if mesh.normals is not None:
        columns.append((mesh.normals, ("nx", "ny", "nz"), "float"))
    if mesh.colors is not None:
        columns.append((mesh.colors, ("red", "green", "blue"), "uchar"))
    if mesh.views is not None:
        columns.append((mesh.views[:, None], ("views",), "ushort"))
    table = np.empty(len(mesh.vertices), [(name, _KINDS[kind]) for _, names, kind in columns for name in names])
    for values, names, _ in columns:
        for axis, name in enumerate(names):
            table[name] = values[:, axis]
    faces = np.empty(len(mesh.faces), _FACE)
    faces["count"], faces["corners"] = 3, mesh.faces
    properties = [f"property {kind} {name}" for _, names, kind in columns for name in names]
    header = [*_OPENING, f"element vertex {len(table)}", *properties]
    header += [f"element face {len(faces)}", _LIST, "end_header", ""]
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write("\n".join(header).encode("ascii"))
        table.tofile(file)
        faces.tofile(file)


def write_points(points: np.ndarray, colors: np.ndarray, path: Path) -> None:
    """Writes points (K, 3) float64 with colours (K, 3) uint8 as PLY, see `write_ply`."""
    write_ply(Mesh(points, np.zeros((0, 3), np.int64), colors=colors), path)


def read_written(path: Path) -> Mesh | None:
    """The mesh, without its normals, of a file as `write_ply` leaves it, read in no time; None for any other file, and
    for one that is damaged."""
    with open(path, "rb") as file:
        lines = file.read(_MAX_HEADER).partition(b"end_header\n")[0].decode("latin-1").split("\n")
        words = [line.split(" ") for line in lines[2:-1]]
        elements = [number for number, word in enumerate(words) if word[0] == "element"]
        if tuple(lines[:2]) != _OPENING or len(elements) != 2 or elements[0] != 0 or words[-1] != _LIST.split(" "):
            return None
        properties = words[1 : elements[1]]
        known = all(len(word) == 3 and word[0] == "property" and word[1] in _KINDS for word in properties)
        names = [word[-1] for word in properties]
        counts = [words[number][-1] for number in elements]
        if not known or names[:3] != ["x", "y", "z"] or len(set(names)) < len(names) or elements[1] != len(words) - 2:
            return None
        if not all(count.isdecimal() for count in counts):
            return None
        file.seek(len("\n".join(lines)) + len("end_header\n"))
        kind = np.dtype([(name, _KINDS[word[1]]) for name, word in zip(names, properties, strict=True)])
        table, faces = np.fromfile(file, kind, int(counts[0])), np.fromfile(file, _FACE, int(counts[1]))
    if [len(table), len(faces)] != [int(count) for count in counts] or (faces["count"] != 3).any():
        return None
    columns = {name: table[name] for name in names}
    vertices = np.stack([columns[name] for name in "xyz"], axis=1).astype(np.float64)
    colors = [columns[name] for name in ("red", "green", "blue") if name in columns]
    colors = np.stack(colors, axis=1) if len(colors) == 3 else None
    return Mesh(vertices, faces["corners"].astype(np.int64), colors=colors, views=columns.get("views"))


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
