"""Triangle meshes as plain arrays: frame changes, areas and volume, normals, and the removal of floaters."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numba import njit


@dataclass(frozen=True)
class Texture:
    """A picture and where on it the corners of each face of a mesh lie."""

    image: np.ndarray  # (T, T, 3) uint8, sRGB
    places: np.ndarray  # (U, 2) float64 in [0, 1], to the right and down from the top left corner of the image
    corners: np.ndarray  # (F, 3) int64 into places

    def sample(self, places: np.ndarray) -> np.ndarray:
        """(P, 3) float64 in [0, 1]: the colours at places (P, 2), linear between the centres of texels."""
        height, width = self.image.shape[:2]
        x, y = (places * [width, height] - 0.5).clip(0.0, [width - 1.0, height - 1.0]).T
        column, row = x.astype(np.int64), y.astype(np.int64)
        right, below = np.minimum(column + 1, width - 1), np.minimum(row + 1, height - 1)
        u, v = (x - column)[:, None], (y - row)[:, None]
        upper = self.image[row, column] * (1.0 - u) + self.image[row, right] * u
        lower = self.image[below, column] * (1.0 - u) + self.image[below, right] * u
        return (upper * (1.0 - v) + lower * v) / 255.0


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh; faces are counter-clockwise when seen from outside."""

    vertices: np.ndarray  # (V, 3) float64
    faces: np.ndarray  # (F, 3) int64
    normals: np.ndarray | None = None  # (V, 3) float32, unit length, pointing outward
    colors: np.ndarray | None = None  # (V, 3) uint8, sRGB
    texture: Texture | None = None

    def __post_init__(self) -> None:
        num_vertices = len(self.vertices)
        assert self.vertices.shape == (num_vertices, 3), f"vertices are (V, 3), got {self.vertices.shape}"
        assert self.faces.shape == (len(self.faces), 3), f"faces are (F, 3), got {self.faces.shape}"
        for name in ("normals", "colors"):
            value = getattr(self, name)
            assert value is None or value.shape == (num_vertices, 3), f"{name} are (V, 3), got {value.shape}"
        if self.texture is not None:
            assert self.texture.corners.shape == self.faces.shape, "each corner of a face has its place in the texture"


def transform(mesh: Mesh, matrix: np.ndarray) -> Mesh:
    """The mesh in another frame: vertices moved, normals rotated, winding flipped where the frame changes handedness.

    matrix: (4, 4) similarity (rotation or reflection, uniform scale, translation), target_from_source."""
    linear, translation = matrix[:3, :3], matrix[:3, 3]
    determinant = np.linalg.det(linear)
    rotation = linear / np.cbrt(abs(determinant))
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4), "only a similarity maps normals like directions"
    normals = None if mesh.normals is None else (mesh.normals @ rotation.T).astype(np.float32)
    faces, texture = mesh.faces, mesh.texture
    if determinant < 0:
        faces = faces[:, ::-1].copy()
        texture = None if texture is None else replace(texture, corners=texture.corners[:, ::-1].copy())
    moved = mesh.vertices @ linear.T + translation
    return replace(mesh, vertices=moved, faces=faces, normals=normals, texture=texture)


def area_vectors(mesh: Mesh) -> np.ndarray:
    """(F, 3) float64: each face's outward normal times its area."""
    return _area_vectors(mesh.vertices, mesh.faces)


def face_areas(mesh: Mesh) -> np.ndarray:
    """(F,) float64 areas, in squared units of the vertices."""
    return np.linalg.norm(area_vectors(mesh), axis=1)


def signed_volume(mesh: Mesh) -> float:
    """Enclosed volume, positive when the faces of a closed mesh wind outward."""
    if not len(mesh.faces):
        return 0.0
    center = mesh.vertices.mean(axis=0)  # far from the origin the terms would cancel to noise
    return float(((mesh.vertices[mesh.faces[:, 0]] - center) * area_vectors(mesh)).sum() / 3.0)


def vertex_normals(mesh: Mesh) -> np.ndarray:
    """(V, 3) float32 unit normals: the area-weighted mean over each vertex's faces; +z where a vertex has none."""
    vectors = area_vectors(mesh)
    columns = [
        sum(np.bincount(mesh.faces[:, corner], vectors[:, axis], len(mesh.vertices)) for corner in range(3))
        for axis in range(3)
    ]
    normals = np.stack(columns, axis=1)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 0, normals / np.where(length > 0, length, 1.0), [0.0, 0.0, 1.0]).astype(np.float32)


def drop_floaters(mesh: Mesh, min_share: float, welded: bool = False) -> tuple[Mesh, list[tuple[int, float]]]:
    """The mesh without its small components, and what was dropped as (number of faces, share of the total area).

    A component stays when its area is at least `min_share` (in [0, 1]) of the largest component's; the largest always
    stays. Vertices at the same position count as connected, so that unwelded meshes do not fall apart; `welded` says
    that there are none, and saves the search. Vertices that no face uses are removed too; the dropped components are
    listed from large to small."""
    if not len(mesh.faces):
        return mesh, []
    corners = mesh.faces if welded else weld_labels(mesh.vertices)[mesh.faces]
    component = components(corners, len(mesh.vertices))[corners[:, 0]]  # (F,)
    areas = np.bincount(component, face_areas(mesh))
    counts = np.bincount(component)
    keep = areas >= min_share * areas.max()
    dropped = np.flatnonzero(~keep & (counts > 0))
    dropped = dropped[np.argsort(-areas[dropped], kind="stable")]
    total = areas.sum()
    return submesh(mesh, keep[component]), [(int(counts[c]), float(areas[c] / total)) for c in dropped]


def join(meshes: Sequence[Mesh]) -> Mesh:
    """All triangles of several meshes as one, without normals and colours."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def submesh(mesh: Mesh, keep: np.ndarray) -> Mesh:
    """The faces where `keep` ((F,) bool) holds, with just the vertices that they use and without a texture."""
    faces = mesh.faces[keep]
    used = np.zeros(len(mesh.vertices), bool)
    used[faces] = True
    renumber = np.cumsum(used) - 1
    normals, colors = (None if x is None else x[used] for x in (mesh.normals, mesh.colors))
    return Mesh(mesh.vertices[used], renumber[faces], normals, colors)


def weld_labels(vertices: np.ndarray) -> np.ndarray:
    """(V,) int64 labels, equal for vertices at exactly the same position."""
    order = np.lexsort(vertices.T)
    ordered = vertices[order]
    is_new = np.ones(len(vertices), bool)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    labels = np.empty(len(vertices), np.int64)
    labels[order] = np.cumsum(is_new) - 1
    return labels


@njit(cache=True)
def components(faces: np.ndarray, num_vertices: int) -> np.ndarray:
    """(V,) int64: for each vertex one of those it is connected with, the same for all of them (union-find)."""
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


@njit(cache=True)
def _area_vectors(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Half the cross product of two edges of each face, without the copies that NumPy makes on the way."""
    out = np.empty((faces.shape[0], 3))
    for face in range(faces.shape[0]):
        a, b, c = vertices[faces[face, 0]], vertices[faces[face, 1]], vertices[faces[face, 2]]
        ux, uy, uz, vx, vy, vz = b[0] - a[0], b[1] - a[1], b[2] - a[2], c[0] - a[0], c[1] - a[1], c[2] - a[2]
        out[face, 0] = 0.5 * (uy * vz - uz * vy)
        out[face, 1] = 0.5 * (uz * vx - ux * vz)
        out[face, 2] = 0.5 * (ux * vy - uy * vx)
    return out
