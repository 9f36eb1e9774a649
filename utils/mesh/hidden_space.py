"""Where space is hidden: enclosed by a surface, and not seen as empty by the cameras around it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
from scipy import ndimage

from utils.cameras import Camera
from utils.mesh import Mesh
from utils.mesh.cropping import depth_map
from utils.numba_cache import cached_parallel

MAX_NODES = 2**23  # of the lattice: 203 along each side of a cube
MARGIN = 3  # nodes of the lattice around the box of the mesh
MAX_VIEWS = 64  # cameras that are asked, evenly spread
PICTURE = 400  # pixels along the longer side of a depth map of what a camera sees of the box
MIN_VIEWS = 2  # cameras that must have a place in their frames, and of which a view into the object needs as many
MIN_SHARE = 0.1  # of the cameras that have a place in frame: fewer look through gaps that the surface has by mistake
MIN_WALLS = 5  # of the six directions along the axes: in so many, a hidden place has a wall or the ground before it
_ALL_WALLS = 6


@dataclass(frozen=True)
class Lattice:
    """Nodes `low + spacing * (i, j, k)` over the box of a mesh."""

    low: np.ndarray  # (3,)
    spacing: float
    shape: tuple[int, int, int]

    @property
    def high(self) -> np.ndarray:
        """(3,) the last node."""
        return self.low + self.spacing * (np.array(self.shape) - 1)

    def height(self, ground: np.ndarray) -> np.ndarray:
        """(X, Y, Z) of the nodes above a plane (4,) nx, ny, nz, d."""
        x, y, z = (
            normal * (low + self.spacing * np.arange(count))
            for normal, low, count in zip(ground[:3], self.low, self.shape, strict=True)
        )
        return x[:, None, None] + y[:, None] + (z - ground[3])


def lattice_around(mesh: Mesh, finest: float, half_edge: float) -> Lattice:
    """The lattice over the box of the mesh and a margin, within the cube [-half_edge, half_edge]^3, as fine as
    MAX_NODES allow but not finer than `finest`, the spacing in scene units."""
    used = mesh.vertices[mesh.faces].reshape(-1, 3)
    box_low, box_high = used.min(axis=0), used.max(axis=0)
    spacing = finest
    while True:
        low = np.maximum(box_low - MARGIN * spacing, -half_edge)
        counts = np.ceil((np.minimum(box_high + MARGIN * spacing, half_edge) - low) / spacing - 1e-6) + 1
        if counts.prod() <= MAX_NODES:
            return Lattice(low, spacing, tuple(counts.astype(int).tolist()))
        spacing *= max((counts.prod() / MAX_NODES) ** (1.0 / 3.0), 1.001)


def hidden_space(
    mesh: Mesh, cameras: Sequence[Camera], lattice: Lattice, own: Lattice, ground: np.ndarray | None
) -> np.ndarray:
    """(X, Y, Z) bool: the nodes of a lattice inside the mesh or in cavities that cameras cannot look into, and those
    below the support plane `ground` (4,) nx, ny, nz, d.

    A node with walls, the mesh or the ground, in at least MIN_WALLS of the six directions is hidden where fewer than
    MIN_VIEWS of the cameras that have it in frame have nothing of the mesh before it; with walls in all six, where
    fewer than MIN_SHARE have. The inside of a cup is open above, so that few photographs from high up keep it; a shadow
    beside the object is no cavity. What is open only along single rays, through pinholes, is hidden. mesh: of marching
    cubes on the lattice `own`, so that each line of its nodes meets a vertex where it meets the surface."""
    below = None if ground is None else lattice.height(ground) < 0.0
    at = [
        np.clip(np.rint((low + lattice.spacing * np.arange(count) - own_low) / own.spacing), 0, own_count - 1)
        for low, count, own_low, own_count in zip(lattice.low, lattice.shape, own.low, own.shape, strict=True)
    ]
    walls = _count_walls(mesh, own, ground)[np.ix_(*(index.astype(np.int64) for index in at))]
    closed = _not_seen_through(mesh, cameras, lattice, walls)
    open_space = ~closed if below is None else ~closed | below
    inner = ndimage.binary_erosion(open_space, border_value=1)
    kept = ndimage.binary_dilation(inner)
    # Edges and corners that the object has inward come back; rays through pinholes only by this one node.
    kept = ndimage.binary_dilation(kept, np.ones((3, 3, 3), bool), mask=open_space) & open_space
    return ~kept if below is None else ~kept | below


def _not_seen_through(mesh: Mesh, cameras: Sequence[Camera], lattice: Lattice, walls: np.ndarray) -> np.ndarray:
    """(X, Y, Z) bool: nodes that at least MIN_VIEWS cameras have in frame, and too few with nothing before.

    walls: (X, Y, Z) uint8 of the six directions that end at one; where they are too few, nothing is asked."""
    corners = np.array([lattice.low, lattice.high])[np.indices((2, 2, 2)).reshape(3, -1).T, np.arange(3)]
    chosen = np.unique(np.linspace(0, len(cameras) - 1, MAX_VIEWS).round().astype(int)) if len(cameras) else []
    windows = [window for index in chosen if (window := _window(cameras[index], corners)) is not None]
    depths = np.zeros((len(windows), PICTURE, PICTURE), np.float32)
    projections = np.zeros((len(windows), 3, 4))
    for index, camera in enumerate(windows):
        width, height = camera.size
        depths[index, :height, :width] = depth_map(camera, camera.project(mesh.vertices), mesh.faces)
        projections[index] = camera.projection_matrix()
    sizes = np.array([camera.size for camera in windows], np.int64).reshape(-1, 2)
    closed = np.zeros(lattice.shape, bool)
    _look(projections, sizes, depths, lattice.low.astype(np.float64), lattice.spacing, walls, closed)
    return closed


def _window(camera: Camera, corners: np.ndarray) -> Camera | None:
    """The camera cut to what it has of a box in its frame and scaled to PICTURE pixels; None if it has nothing.

    corners: (8, 3) of the box."""
    pixels = camera.project(corners)
    low, high = np.zeros(2), np.array(camera.size, np.float64)
    if (pixels[:, 2] > 0.0).all():
        low, high = np.maximum(low, pixels[:, :2].min(axis=0)), np.minimum(high, pixels[:, :2].max(axis=0))
    elif (pixels[:, 2] <= 0.0).all():
        return None
    if (high <= low).any():
        return None
    scale = PICTURE / (high - low).max()
    intrinsics = np.concatenate([camera.intrinsics[:2], camera.intrinsics[2:] - low]) * scale
    width, height = np.clip(np.rint((high - low) * scale).astype(int), 1, PICTURE).tolist()
    return replace(camera, intrinsics=intrinsics, size=(width, height))


@cached_parallel()
def _look(projections, sizes, depths, low, spacing, walls, closed):
    """Sets `closed` (X, Y, Z) where enough cameras have a node in frame and too few see it as empty."""
    nx, ny, nz = closed.shape
    for column in numba.prange(nx * ny):
        i, j = column // ny, column % ny
        asked = np.flatnonzero(walls[i, j] >= MIN_WALLS)
        if len(asked) == 0:
            continue
        x, y, z = low[0] + spacing * i, low[1] + spacing * j, low[2]
        empty = np.zeros(nz, np.uint8)
        framed = np.zeros(nz, np.uint8)
        for v in range(len(projections)):
            p = projections[v]
            width, height = sizes[v, 0], sizes[v, 1]
            u0 = p[0, 0] * x + p[0, 1] * y + p[0, 2] * z + p[0, 3]
            v0 = p[1, 0] * x + p[1, 1] * y + p[1, 2] * z + p[1, 3]
            d0 = p[2, 0] * x + p[2, 1] * y + p[2, 2] * z + p[2, 3]
            du, dv, dd = p[0, 2] * spacing, p[1, 2] * spacing, p[2, 2] * spacing
            for k in asked:
                depth = d0 + k * dd
                if depth <= 0.0:
                    continue
                at_x, at_y = (u0 + k * du) / depth, (v0 + k * dv) / depth
                if at_x >= 0.0 and at_y >= 0.0 and at_x < width and at_y < height:
                    framed[k] += 1
                    if depth < depths[v, int(at_y), int(at_x)]:
                        empty[k] += 1
        for k in asked:
            needed = max(MIN_VIEWS, MIN_SHARE * framed[k]) if walls[i, j, k] == _ALL_WALLS else MIN_VIEWS
            closed[i, j, k] = framed[k] >= MIN_VIEWS and empty[k] < needed


def _count_walls(mesh: Mesh, own: Lattice, ground: np.ndarray | None) -> np.ndarray:
    """(X, Y, Z) uint8: of the six directions along the axes from each node of the mesh's own lattice, those that end at
    the mesh or the ground."""
    walls = np.zeros(own.shape, bool) if ground is None else own.height(ground) < 0.0
    at = np.rint((mesh.vertices - own.low) / own.spacing).astype(np.int64)
    walls[tuple(np.clip(at, 0, np.array(own.shape) - 1).T)] = True
    count = np.zeros(own.shape, np.uint8)
    for axis, length in enumerate(own.shape):
        index = np.arange(length).reshape([-1 if other == axis else 1 for other in range(3)])
        some = walls.any(axis=axis, keepdims=True)
        first = np.where(some, walls.argmax(axis=axis, keepdims=True), length)
        last = np.where(some, length - 1 - np.flip(walls, axis).argmax(axis=axis, keepdims=True), -1)
        count += index >= first
        count += index <= last
    return count
