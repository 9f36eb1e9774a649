"""The object as a solid: cut flat at what it stands on, closed where the region ends, without caves and voids."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from systems.export.filling import Filling
from systems.export.pockets import MAX_CELLS, find_pockets
from utils.mesh import Mesh, submesh
from utils.mesh.holes import boundary_loops, close_loops
from utils.mesh.isosurface import Field
from utils.mesh.measures import area_vectors, components

ON_GROUND = 1e-3  # of the lattice's spacing: vertices so near to the support plane lie on it


@dataclass(frozen=True)
class Enclosure:
    """What the object is cut with before its surface is extracted, in scene coordinates: the half-space above its
    support plane, and a cube just within the region, so that nothing is left open."""

    ground: np.ndarray | None  # (4,) float64 nx, ny, nz, d: the height of x is n @ x - d; None: no support plane
    half_edge: float  # of the cube
    spacing: float  # of the lattice that marching cubes works on
    filling: Filling | None = None  # what is solid since no photograph looks into it

    def height(self, points: np.ndarray) -> np.ndarray:
        """(P,) of points (P, 3) above the support plane."""
        return points @ self.ground[:3] - self.ground[3]

    def on_ground(self, points: np.ndarray) -> np.ndarray:
        """(P,) bool: which of the points (P, 3) lie on the support plane."""
        if self.ground is None:
            return np.zeros(len(points), bool)
        return np.abs(self.height(points)) <= ON_GROUND * self.spacing

    def cut(self, sdf: Field, level: float, chunk: int, device: torch.device) -> Field:
        """The field whose level set is the surface of the intersection of `sdf <= level`, with its pockets and what no
        photograph looks into filled, with the half-space and the cube.

        chunk: points at a time for the search of pockets."""

        def shifted(points: Tensor) -> Tensor:
            return sdf(points).float().reshape(-1) - level

        def height(points: Tensor) -> Tensor:
            normal = torch.tensor(self.ground[:3], dtype=torch.float64, device=points.device)
            return (points.double() @ normal - self.ground[3]).float()

        pockets = None
        if self.ground is not None:
            cells = min(MAX_CELLS, max(int(self.half_edge / self.spacing), 1))  # at least two of the lattice wide
            pockets = find_pockets(shifted, self.ground, self.half_edge, cells, chunk, device)

        def field(points: Tensor) -> Tensor:
            inside, outside = shifted(points), points.abs().amax(dim=1) - self.half_edge
            if pockets is not None:
                inside = torch.minimum(inside, pockets(points))
            if self.filling is not None:
                inside = torch.minimum(inside, self.filling.height(points))
            if self.ground is not None:
                outside = torch.maximum(outside, -height(points))
            return level + torch.maximum(inside, outside)

        return field

    def settle(self, mesh: Mesh) -> Mesh:
        """The mesh with no vertex below the support plane, and those next to it exactly on it."""
        if self.ground is None:
            return mesh
        height = self.height(mesh.vertices)
        lift = np.where(height <= ON_GROUND * self.spacing, -height, 0.0)
        return replace(mesh, vertices=mesh.vertices + lift[:, None] * self.ground[:3])

    def restore_cuts(self, mesh: Mesh, moved: Mesh) -> Mesh:
        """A moved mesh with the vertices that lay on the cuts or on what is filled where they were, and none below the
        support plane."""
        on_cube = np.abs(mesh.vertices).max(axis=1) >= self.half_edge - ON_GROUND * self.spacing
        fixed = on_cube | self.on_ground(mesh.vertices)
        if self.filling is not None:
            fixed |= self.filling.touches(mesh.vertices, 0.5 * self.spacing)
        return self.settle(replace(moved, vertices=np.where(fixed[:, None], mesh.vertices, moved.vertices)))

    def fill(self, mesh: Mesh) -> tuple[Mesh, int]:
        """The closed mesh without the caves that open only towards the support plane, and without voids in the solid;
        and how many of them there were.

        Without the faces on the plane, the walls of a cave hang together with nothing else. They enclose, with the
        plane, a negative volume."""
        mesh = self.settle(mesh)
        below = self.on_ground(mesh.vertices)[mesh.faces].all(axis=1)
        part = components(mesh.faces[~below], len(mesh.vertices))[mesh.faces[:, 0]]
        foot = np.zeros(3) if self.ground is None else self.ground[3] * self.ground[:3]  # a cap's cone has no volume
        volumes = ((mesh.vertices[mesh.faces[:, 0]] - foot) * area_vectors(mesh)).sum(axis=1) / 3.0
        volume = np.bincount(part[~below], volumes[~below], len(mesh.vertices))
        hollow = ~below & (volume[part] < 0.0)
        if not hollow.any():
            return mesh, 0
        walls = np.zeros(len(mesh.vertices), bool)  # of the solid itself
        walls[mesh.faces[~below & ~hollow]] = True
        whole = components(mesh.faces[below], len(mesh.vertices))
        held = np.zeros(len(mesh.vertices), bool)
        held[whole[walls]] = True  # contacts that a wall rises from; others were pillars in a cave
        kept = submesh(mesh, (below & held[whole[mesh.faces[:, 0]]]) | (~below & ~hollow))
        return close_loops(kept, boundary_loops(kept)), len(np.unique(part[hollow]))

    def without_bottom(self, mesh: Mesh) -> Mesh:
        """The mesh without its faces on the support plane, so open there.

        A face that touches the others there at a corner alone stays: without it the outline would cross itself."""
        below = np.flatnonzero(self.on_ground(mesh.vertices)[mesh.faces].all(axis=1))
        faces = mesh.faces[below]
        edges = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1), axis=-1).reshape(-1, 2)
        _, of_edge, count = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
        alone = (count[of_edge.ravel()].reshape(-1, 3) == 1).all(axis=1)
        touches = (np.bincount(faces.ravel(), minlength=len(mesh.vertices))[faces] > 1).any(axis=1)
        kept = np.ones(len(mesh.faces), bool)
        kept[below[~(alone & touches)]] = False
        return submesh(mesh, kept)
