"""What triangle meshes measure: areas, volume, normals, components; and the removal of floaters."""

from collections.abc import Callable, Sequence

import numpy as np

from utils.mesh import Mesh, submesh
from utils.numba_cache import cached_njit

Judge = Callable[[list[np.ndarray]], Sequence[bool]]  # which of some components, of vertices (V, 3) each, are to stay


def area_vectors(mesh: Mesh) -> np.ndarray:
    """(F, 3) float64: each face's outward normal times its area."""
    return _area_vectors(mesh.vertices, mesh.faces)


def face_areas(mesh: Mesh) -> np.ndarray:
    """(F,) float64 areas, in squared units of the vertices."""
    return _face_areas(mesh.vertices, mesh.faces)


def signed_volume(mesh: Mesh) -> float:
    """Enclosed volume, positive when the faces of a closed mesh wind outward."""
    if not len(mesh.faces):
        return 0.0
    center = mesh.vertices.mean(axis=0)  # far from the origin the terms would cancel to noise
    return float(((mesh.vertices[mesh.faces[:, 0]] - center) * area_vectors(mesh)).sum() / 3.0)


def vertex_normals(mesh: Mesh) -> np.ndarray:
    """(V, 3) float32 unit normals: the area-weighted mean over each vertex's faces; +z where a vertex has none."""
    return _vertex_normals(mesh.vertices, mesh.faces)


def drop_floaters(
    mesh: Mesh, min_share: float, welded: bool = False, spared: Judge | None = None, least_spared: float = 0.0
) -> tuple[Mesh, list[tuple[int, float]]]:
    """The mesh without its small components, and what was dropped as (number of faces, share of the total area).

    A component stays when its area is at least `min_share` (in [0, 1]) of the largest component's, or from
    `least_spared` on when `spared` says so; the largest always stays. Vertices at the same position count as connected,
    so that unwelded meshes do not fall apart; `welded` says that there are none, and saves the search. Vertices that no
    face uses are removed too; the dropped components are listed from large to small."""
    if not len(mesh.faces):
        return mesh, []
    corners = mesh.faces if welded else weld_labels(mesh.vertices)[mesh.faces]
    component = components(corners, len(mesh.vertices))[corners[:, 0]]  # (F,)
    if (component == component[0]).all():
        return submesh(mesh, np.ones(len(component), bool)), []
    areas = np.bincount(component, face_areas(mesh))
    counts = np.bincount(component)
    keep = areas >= min_share * areas.max()
    doubtful = np.flatnonzero(~keep & (counts > 0) & (areas >= least_spared * areas.max()))
    if spared is not None and len(doubtful):
        keep[doubtful] = spared([mesh.vertices[np.unique(mesh.faces[component == c])] for c in doubtful])
    dropped = np.flatnonzero(~keep & (counts > 0))
    dropped = dropped[np.argsort(-areas[dropped], kind="stable")]
    total = areas.sum()
    return submesh(mesh, keep[component]), [(int(counts[c]), float(areas[c] / total)) for c in dropped]


def weld_labels(vertices: np.ndarray) -> np.ndarray:
    """(V,) int64 labels, equal for vertices at exactly the same position."""
    order = np.lexsort(vertices.T)
    ordered = vertices[order]
    is_new = np.ones(len(vertices), bool)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    labels = np.empty(len(vertices), np.int64)
    labels[order] = np.cumsum(is_new) - 1
    return labels


def count_components(mesh: Mesh) -> int:
    """The number of components, without vertices that no face uses."""
    label, used = components(mesh.faces, len(mesh.vertices)), np.zeros(len(mesh.vertices), bool)
    used[mesh.faces] = True
    return int(np.count_nonzero(used & (label == np.arange(len(label)))))


@cached_njit(nogil=True)
def components(faces: np.ndarray, num_vertices: int) -> np.ndarray:
    """(V,) int64: for each vertex the first that it is connected with, the same for all of them (union-find)."""
    parent = np.arange(num_vertices)
    for face in range(faces.shape[0]):
        for corner in range(2):
            a, b = faces[face, corner], faces[face, corner + 1]
            while parent[a] != a:
                parent[a] = parent[parent[a]]
                a = parent[a]
            while parent[b] != b:
                parent[b] = parent[parent[b]]
                b = parent[b]
            parent[max(a, b)] = min(a, b)
    for vertex in range(num_vertices):  # parents have lower numbers: theirs are final already
        parent[vertex] = parent[parent[vertex]]
    return parent


@cached_njit(nogil=True)
def _area_vectors(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Half the cross product of two edges of each face, without the copies that NumPy makes on the way."""
    out = np.empty((faces.shape[0], 3))
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        out[face, 0], out[face, 1], out[face, 2] = _area_vector(vertices, a, b, c)
    return out


@cached_njit(nogil=True)
def _area_vector(vertices: np.ndarray, a: int, b: int, c: int) -> tuple[float, float, float]:
    """The same of the face with corners a, b and c."""
    x, y, z = vertices[a, 0], vertices[a, 1], vertices[a, 2]
    ux, uy, uz = vertices[b, 0] - x, vertices[b, 1] - y, vertices[b, 2] - z
    vx, vy, vz = vertices[c, 0] - x, vertices[c, 1] - y, vertices[c, 2] - z
    return 0.5 * (uy * vz - uz * vy), 0.5 * (uz * vx - ux * vz), 0.5 * (ux * vy - uy * vx)


@cached_njit(nogil=True)
def _face_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """See `face_areas`."""
    out = np.empty(faces.shape[0])
    for face in range(faces.shape[0]):
        x, y, z = _area_vector(vertices, faces[face, 0], faces[face, 1], faces[face, 2])
        out[face] = np.sqrt(x * x + y * y + z * z)
    return out


@cached_njit(nogil=True)
def _vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """See `vertex_normals`."""
    sums, out = np.zeros((vertices.shape[0], 3)), np.empty((vertices.shape[0], 3), np.float32)
    for face in range(faces.shape[0]):
        x, y, z = _area_vector(vertices, faces[face, 0], faces[face, 1], faces[face, 2])
        for corner in range(3):
            vertex = faces[face, corner]
            sums[vertex, 0] += x
            sums[vertex, 1] += y
            sums[vertex, 2] += z
    for vertex in range(vertices.shape[0]):
        x, y, z = sums[vertex]
        length = np.sqrt(x * x + y * y + z * z)
        if not length > 0.0:
            x, y, z, length = 0.0, 0.0, 1.0, 1.0
        out[vertex, 0], out[vertex, 1], out[vertex, 2] = x / length, y / length, z / length
    return out
