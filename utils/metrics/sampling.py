"""Points spread evenly over a mesh."""

from dataclasses import dataclass

import numpy as np

from utils.mesh import Mesh
from utils.mesh.measures import face_areas


@dataclass(frozen=True)
class SurfacePoints:
    """Points on the faces of a mesh."""

    positions: np.ndarray  # (N, 3) float64
    faces: np.ndarray  # (N,) int64, the face that each lies on

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, keep: np.ndarray) -> "SurfacePoints":
        return SurfacePoints(self.positions[keep], self.faces[keep])


def sample_surface(mesh: Mesh, num: int, rng: np.random.Generator) -> SurfacePoints:
    """`num` independent points, uniform by area, in the order of the faces."""
    areas = face_areas(mesh)
    faces = np.repeat(np.arange(len(areas)), rng.multinomial(num, areas / areas.sum()))
    u, v = np.sqrt(rng.random((num, 1))), rng.random((num, 1))
    weights = 1.0 - u, u * (1.0 - v), u * v
    corners = mesh.faces[faces]
    return SurfacePoints(sum(weight * mesh.vertices[corners[:, k]] for k, weight in enumerate(weights)), faces)
