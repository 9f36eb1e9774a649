"""Triangle meshes as plain arrays: frame changes, joining and taking apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from utils.mesh.stand import Stand


@dataclass(frozen=True)
class Texture:
    """A picture and where on it the corners of each face of a mesh lie."""

    image: np.ndarray  # (T, T, 3) uint8, sRGB
    places: np.ndarray  # (U, 2) float64 in [0, 1], to the right and down from the top left corner of the image
    corners: np.ndarray  # (F, 3) int64 into places
    normals: np.ndarray | None = None  # (N, N, 3) uint8, directions along tangent, bitangent and normal, as n / 2 + 0.5
    # (T, T) uint8, of 255: with it the image is of albedo, for any light; without it of colours with their light
    roughness: np.ndarray | None = None

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
    views: np.ndarray | None = None  # (V,) uint16, how many photographs see each vertex
    stand: Stand = Stand()  # for formats that have an up direction and a unit

    def __post_init__(self) -> None:
        num_vertices = len(self.vertices)
        assert self.vertices.shape == (num_vertices, 3), f"vertices are (V, 3), got {self.vertices.shape}"
        assert self.faces.shape == (len(self.faces), 3), f"faces are (F, 3), got {self.faces.shape}"
        for name in ("normals", "colors"):
            value = getattr(self, name)
            assert value is None or value.shape == (num_vertices, 3), f"{name} are (V, 3), got {value.shape}"
        assert self.views is None or self.views.shape == (num_vertices,), f"views are (V,), got {self.views.shape}"
        if self.texture is not None:
            assert self.texture.corners.shape == self.faces.shape, "each corner of a face has its place in the texture"


def transform(mesh: Mesh, matrix: np.ndarray) -> Mesh:
    """The mesh in another frame: vertices moved, normals rotated, winding flipped where the frame changes handedness.

    matrix: (4, 4) similarity (rotation or reflection, uniform scale, translation), target_from_source."""
    linear, translation = matrix[:3, :3], matrix[:3, 3]
    determinant = np.linalg.det(linear)
    rotation = linear / np.cbrt(abs(determinant))
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4), "only a similarity maps normals like directions"
    normals = None if mesh.normals is None else _turned(mesh.normals, rotation).astype(np.float32)
    faces, texture = mesh.faces, mesh.texture
    if determinant < 0:
        faces = faces[:, ::-1].copy()
        texture = None if texture is None else replace(texture, corners=texture.corners[:, ::-1].copy())
    moved = _turned(mesh.vertices, linear) + translation
    stand = mesh.stand.moved(matrix)
    return replace(mesh, vertices=moved, faces=faces, normals=normals, texture=texture, stand=stand)


def _turned(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(N, 3) float64 matrix (3, 3) times rows (N, 3); a product of millions of rows with so few columns is slow."""
    out = np.empty((len(rows), 3))
    for axis, (x, y, z) in enumerate(matrix):
        out[:, axis] = x * rows[:, 0] + y * rows[:, 1] + z * rows[:, 2]
    return out


def join(meshes: Sequence[Mesh]) -> Mesh:
    """All triangles of several meshes as one, without normals and colours."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def submesh(mesh: Mesh, keep: np.ndarray) -> Mesh:
    """The faces where `keep` ((F,) bool) holds, with just the vertices that they use and without a texture."""
    faces = mesh.faces if keep.all() else mesh.faces[keep]
    used = np.zeros(len(mesh.vertices), bool)
    used[faces] = True
    if faces is mesh.faces and used.all():
        return replace(mesh, texture=None, views=None)
    renumber = np.cumsum(used) - 1
    normals, colors = (None if x is None else x[used] for x in (mesh.normals, mesh.colors))
    return Mesh(mesh.vertices[used], renumber[faces], normals, colors)
