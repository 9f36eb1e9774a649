"""Textures: a mesh is unwrapped onto the plane, and its texels have places on the surface."""

from dataclasses import dataclass

import cv2
import numpy as np
from numba import prange

from utils.mesh import Mesh
from utils.mesh.measures import face_areas
from utils.mesh.rasterise import visible_faces
from utils.numba_cache import cached_parallel
from utils.packages import require

PADDING = 4  # texels between charts
PART_FACES = 8000  # that xatlas cuts into charts at a time: a rough mesh of 100 000 at once takes it 25 times as long
CHART_FACES = 300  # roughly, on average: of more, xatlas takes twice as long, and rough meshes fall into more pieces


@dataclass(frozen=True)
class Texels:
    """The T' texels of a picture (T, T) whose centres lie on a face, and where on the mesh they are."""

    row: np.ndarray  # (T',) int64
    column: np.ndarray  # (T',) int64
    points: np.ndarray  # (T', 3) float64
    normals: np.ndarray  # (T', 3) float64, unit length, between those of the vertices


def unwrap(mesh: Mesh, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (U, 2) float64 in [0, 1] and corners (F, 3) int64 as in `Texture`, for a picture of size x size texels.

    Charts do not overlap and lie PADDING texels apart. Neighbouring faces of a chart share places; the mesh itself is
    not cut (xatlas). Raises MissingPackageError."""
    xatlas = require("xatlas")  # not needed unless it is asked for
    scale = np.ptp(mesh.vertices, axis=0).max()
    points = (mesh.vertices - mesh.vertices.min(axis=0)) / scale  # in single precision
    charts = xatlas.ChartOptions()
    charts.max_chart_area = float(face_areas(mesh).sum() / scale**2 * min(1.0, CHART_FACES / len(mesh.faces)))
    packing = xatlas.PackOptions()
    packing.resolution, packing.padding, packing.bilinear = size, PADDING, True
    atlas = xatlas.Atlas()
    parts = _parts(points[mesh.faces].mean(axis=1))
    used = [np.unique(mesh.faces[part], return_inverse=True) for part in parts]
    for own, faces in used:
        atlas.add_mesh(points[own].astype(np.float32), faces.reshape(-1, 3).astype(np.uint32))
    atlas.generate(charts, packing)
    places, corners, num = [], np.empty(mesh.faces.shape, np.int64), 0
    for index, (part, (own, _)) in enumerate(zip(parts, used, strict=True)):
        vertex, corners_here, places_here = atlas.get_mesh(index)
        assert (own[vertex[corners_here]] == mesh.faces[part]).all(), "xatlas keeps the order of faces and corners"
        corners[part] = corners_here + num
        places.append(places_here)
        num += len(places_here)
    # Its picture is about as large as asked for, and not square.
    shares = np.array([atlas.width, atlas.height]) / max(atlas.width, atlas.height)
    return np.concatenate(places) * shares, corners


def _parts(middles: np.ndarray) -> list[np.ndarray]:
    """Indices of faces with these middles (F, 3), in parts of at most PART_FACES that lie together: halves of halves,
    across the longest side."""
    done, left = [], [np.arange(len(middles))]
    while left:
        part = left.pop()
        if len(part) <= PART_FACES:
            done.append(np.sort(part))
            continue
        half, along = len(part) // 2, middles[part].T[np.ptp(middles[part], axis=0).argmax()]
        order = np.argpartition(along, half)
        left += [part[order[:half]], part[order[half:]]]
    return done


@dataclass(frozen=True)
class Covered:
    """The texels of a picture (T, T) whose centres lie on a face, and how much of its corners is in them."""

    row: np.ndarray  # (T',) int64
    column: np.ndarray  # (T',) int64
    vertices: np.ndarray  # (T', 3) int64
    weights: np.ndarray  # (T', 3) float64

    @classmethod
    def by(cls, faces: np.ndarray, places: np.ndarray, corners: np.ndarray, size: int) -> "Covered":
        """faces: (F, 3) int64, of what is between; places (U, 2) and corners (F, 3) as `unwrap` gives them."""
        pixels = np.hstack([places * size, np.ones((len(places), 1))])
        face, weights = visible_faces(pixels, corners, (size, size))
        row, column = np.nonzero(face >= 0)
        return cls(row, column, faces[face[row, column]], weights[row, column])

    def between(self, values: np.ndarray) -> np.ndarray:
        """(T', 3) float64 of values (V, 3) at the corners."""
        return _between(np.ascontiguousarray(values, np.float64), self.vertices, self.weights)

    def directions(self, values: np.ndarray) -> np.ndarray:
        """(T', 3) float64 of values (V, 3) at the corners, as unit vectors."""
        found = self.between(values)
        return found / np.linalg.norm(found, axis=1, keepdims=True).clip(min=1e-12)


def texels_of(mesh: Mesh, places: np.ndarray, corners: np.ndarray, size: int) -> Texels:
    """The texels that lie on the mesh, which has normals; places (U, 2) and corners (F, 3) as `unwrap` gives them."""
    covered = Covered.by(mesh.faces, places, corners, size)
    return Texels(covered.row, covered.column, covered.between(mesh.vertices), covered.directions(mesh.normals))


@cached_parallel()
def _between(values, vertices, weights):
    out = np.zeros((len(vertices), 3))
    for p in prange(len(vertices)):
        for corner in range(3):
            for axis in range(3):
                out[p, axis] += values[vertices[p, corner], axis] * weights[p, corner]
    return out


def paint(texels: Texels | Covered, colors: np.ndarray, size: int) -> np.ndarray:
    """(T, T, 3) uint8: colours (T', 3) in [0, 1] at their texels, everywhere else that of the nearest of them.

    So no seam shows where a reader looks between texels at the rim of a chart, nor in smaller copies of the picture."""
    image = np.zeros((size, size, 3), np.uint8)
    image[texels.row, texels.column] = np.rint(colors.clip(0.0, 1.0) * 255.0)
    empty = np.ones((size, size), np.uint8)
    empty[texels.row, texels.column] = 0
    _, nearest = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    known = np.zeros((nearest.max() + 1, 3), np.uint8)
    known[nearest[texels.row, texels.column]] = image[texels.row, texels.column]
    return known[nearest]
