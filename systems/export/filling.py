"""The inside of an object made solid: cavities that no photograph looks into are filled before the extraction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from utils.cameras import Camera
from utils.mesh import Mesh
from utils.mesh.hidden_space import Lattice, hidden_space, lattice_around

MAX_RESOLUTION = 192  # of the mesh that tells what is hidden, along each side of the region
Extract = Callable[[int], Mesh]  # marching cubes over the region with so many nodes along each side


@dataclass(frozen=True)
class Filling:
    """How deep in hidden space a point lies, and from which depth on it is solid."""

    depth: Tensor  # (X, Y, Z) float32, scene units to the nearest node in the open; 0 in the open
    low: Tensor  # (3,) first node of the lattice, scene coordinates
    high: Tensor  # (3,) last node
    start: float  # scene units: what lies deeper is solid, so that it stays below what photographs show

    def height(self, points: Tensor) -> Tensor:
        """(N,) of points (N, 3) above what is filled, scene units; negative within, infinite in the open."""
        # grid_sample takes the last axis of the lattice first
        place = ((points - self.low) / (self.high - self.low) * 2.0 - 1.0).flip(1)
        depth = F.grid_sample(self.depth[None, None], place.view(1, -1, 1, 1, 3), align_corners=True).view(-1)
        return torch.where(depth > 0.0, self.start - depth, torch.inf)

    def touches(self, points: np.ndarray, reach: float) -> np.ndarray:
        """(P,) bool: which of the points (P, 3) lie within what is filled or at most `reach` above it."""
        place = torch.from_numpy(points.astype(np.float32)).to(self.depth.device)
        return (self.height(place) <= reach).cpu().numpy()


def fill_hidden(
    extract: Extract,
    cameras: Sequence[Camera],
    radius: float,
    resolution: int,
    ground: np.ndarray | None,
    device: torch.device | str = "cpu",
) -> Filling:
    """What is to be filled of the surface that `extract` finds in the cube [-radius, radius]^3, `resolution` nodes wide
    at last.

    ground: (4,) nx, ny, nz, d of the support plane; what is below it is as hidden as the inside, so the contact is
    filled down to it; device: of the points that it will be asked for."""
    coarse = min(resolution, MAX_RESOLUTION)
    mesh = extract(coarse)
    own = Lattice(np.full(3, -radius), 2.0 * radius / (coarse - 1), (coarse,) * 3)
    lattice = lattice_around(mesh, 2.0 * radius / (resolution - 1), radius)
    hidden = hidden_space(mesh, cameras, lattice, own, ground)
    depth = torch.from_numpy((ndimage.distance_transform_edt(hidden) * lattice.spacing).astype(np.float32))
    low, high = (torch.from_numpy(corner.astype(np.float32)) for corner in (lattice.low, lattice.high))
    depth, low, high = (part.to(device) for part in (depth, low, high))
    # A node for the steps of the lattice, and half a cell by which the mesh may err.
    return Filling(depth, low, high, start=lattice.spacing + 0.5 * own.spacing)
