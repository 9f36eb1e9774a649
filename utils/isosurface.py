"""Marching cubes around the surface only: meshes a field at 2048^3 and beyond without holding the whole lattice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import mcubes
import numpy as np

from utils.errors import ReconstructionError
from utils.mesh import Mesh

Field = Callable[[np.ndarray], np.ndarray]  # (N, 3) float32 scene points -> (N,) float32 values

BLOCK = 16  # cells along a block's edge
STRIDE = 8  # cells along a coarse cell's edge; divides BLOCK

# The faces, edges and corners that a block shares with its neighbours; along each axis: first layer, inside, last.
_SHARED = [part for part in product(range(3), repeat=3) if part != (1, 1, 1)]
_LAYERS = (slice(0, 1), slice(1, -1), slice(-1, None))


def extract_isosurface(
    field: Field,
    radius: float,
    resolution: int,
    level: float,
    solid: Literal["below", "above"],
    occupied: np.ndarray | None = None,
    chunk: int = 2**18,
    safety: float = 2.0,
) -> Mesh:
    """The surface `field == level` in the cube [-radius, radius]^3, welded, winding outward, in scene units.

    field: maps (N, 3) float32 scene points to (N,) float32 values, called with at most `chunk` points.
    resolution: lattice points along each edge of the cube, >= 2; the spacing is 2 * radius / (resolution - 1).
    solid: "below" for an SDF (inside where the value is below `level`), "above" for a density.
    occupied: (G, G, G) bool over the same cube; blocks that touch an occupied cell or its neighbours are searched too.
    safety: how many times faster than its distance an SDF may change ("below" only); more finds thinner parts, slower.

    A block is searched when the coarse lattice, `occupied`, or a neighbour through whose side the surface leaves says
    so; so what is found is closed wherever the dense surface is. A density can lose a part that is thinner than a
    coarse cell and that `occupied` does not name. Raises ReconstructionError when nothing crosses `level`, or a value
    is not finite."""
    lattice = _Lattice(radius, resolution)
    sampler = _Sampler(field, lattice, level, -1.0 if solid == "above" else 1.0, chunk)
    search = _coarse_search(sampler, lattice, None if solid == "above" else safety)
    if occupied is not None:
        search |= _blocks_touching(occupied, lattice)
    pieces = _Pieces(lattice)
    shared: dict[tuple[int, ...], np.ndarray] = {}
    visited = np.zeros_like(search)
    while search.any():
        visited |= search
        reached = np.zeros_like(search)
        blocks = np.argwhere(search)
        group = max(1, chunk // (BLOCK + 1) ** 3)
        for start in range(0, len(blocks), group):
            for block, values in _sample_blocks(sampler, lattice, blocks[start : start + group], shared):
                pieces.add(block, values)
                _mark_neighbours(reached, block, values)
        search = reached & ~visited
    shared.clear()
    mesh = pieces.weld()
    if not len(mesh.faces):
        raise ReconstructionError(_no_crossing(sampler, level, solid))
    return mesh


@dataclass(frozen=True)
class _Lattice:
    """The regular lattice over the cube, and its blocks of BLOCK^3 cells (smaller at the far ends)."""

    radius: float
    resolution: int

    def __post_init__(self) -> None:
        assert self.radius > 0, f"a cube has a size: {self}"
        assert self.resolution >= 2, f"a cell has two ends: {self}"

    @property
    def num_blocks(self) -> int:
        """Blocks along each axis."""
        return -(-(self.resolution - 1) // BLOCK)

    @property
    def spacing(self) -> float:
        """Distance of neighbouring lattice points, scene units."""
        return 2.0 * self.radius / (self.resolution - 1)

    def points(self, index: np.ndarray) -> np.ndarray:
        """(..., 3) float64 scene points of lattice coordinates, which need not be whole."""
        return index * self.spacing - self.radius


@dataclass
class _Sampler:
    """Evaluates the field on lattice points, in chunks; values are shifted and turned so that <= 0 is inside."""

    field: Field
    lattice: _Lattice
    level: float
    sign: float
    chunk: int
    lowest: float = np.inf
    highest: float = -np.inf

    def __call__(self, axes: list[np.ndarray]) -> np.ndarray:
        """(B, X, Y, Z) float32 on B boxes; axes: per dimension the (B, X) lattice indices."""
        shape = (len(axes[0]), *(axis.shape[1] for axis in axes))
        count = int(np.prod(shape))
        out = np.empty(count, np.float32)
        for start in range(0, count, self.chunk):
            box, *offsets = np.unravel_index(np.arange(start, min(start + self.chunk, count)), shape)
            index = np.stack([axis[box, offset] for axis, offset in zip(axes, offsets, strict=True)], axis=1)
            points = self.lattice.points(index).astype(np.float32)
            values = np.asarray(self.field(points), np.float32).reshape(len(points))
            self._check(values, points)
            out[start : start + len(values)] = self.sign * (values - self.level)
        return out.reshape(shape)

    def _check(self, values: np.ndarray, points: np.ndarray) -> None:
        finite = np.isfinite(values)
        if not finite.all():
            where = ", ".join(f"{x:.3g}" for x in points[np.argmin(finite)])
            raise ReconstructionError(
                f"the field has {(~finite).sum()} values that are not finite among {len(values)} points, the first at "
                f"({where}) in scene units. Training diverged: go back to an earlier checkpoint, or train again with a "
                "lower learning rate or in 32-bit precision."
            )
        self.lowest = min(self.lowest, float(values.min()))
        self.highest = max(self.highest, float(values.max()))


def _coarse_search(sampler: _Sampler, lattice: _Lattice, safety: float | None) -> np.ndarray:
    """(n, n, n) bool: blocks whose coarse values change sign or, given `safety`, are small enough to hide a surface."""
    count = lattice.num_blocks
    axis = np.minimum(np.arange(count * (BLOCK // STRIDE) + 1) * STRIDE, lattice.resolution - 1)
    coarse = sampler([axis[None]] * 3)[0]
    search = (_over_blocks(coarse, np.minimum, count) <= 0) & (_over_blocks(coarse, np.maximum, count) > 0)
    if safety is not None:
        # No point of a coarse cell is farther from the nearest of its corners than half the cell's diagonal.
        reach = safety * 0.5 * np.sqrt(3.0) * STRIDE * lattice.spacing
        search |= _over_blocks(np.abs(coarse), np.minimum, count) < reach
    return search


def _over_blocks(coarse: np.ndarray, reduce: np.ufunc, count: int) -> np.ndarray:
    """(n, n, n): `reduce` over each block's coarse lattice points, both ends included."""
    step = BLOCK // STRIDE
    for axis in range(3):
        layers = [coarse.take(np.arange(count) * step + offset, axis) for offset in range(step + 1)]
        coarse = reduce.reduce(layers)
    return coarse


def _blocks_touching(occupied: np.ndarray, lattice: _Lattice) -> np.ndarray:
    """(n, n, n) bool: blocks that overlap an occupied cell or one of its neighbours."""
    cells = np.arange(occupied.shape[0]) / occupied.shape[0] * (lattice.resolution - 1)
    width = (lattice.resolution - 1) / occupied.shape[0]
    lower = np.arange(lattice.num_blocks)[:, None] * BLOCK
    overlap = ((cells - width <= lower + BLOCK) & (cells + 2 * width >= lower)).astype(np.float32)  # (n, G)
    return np.einsum("ai,bj,ck,ijk->abc", overlap, overlap, overlap, occupied.astype(np.float32), optimize=True) > 0


def _sample_blocks(sampler: _Sampler, lattice: _Lattice, blocks: np.ndarray, shared: dict) -> list[tuple]:
    """Pairs of a block's (3,) coordinates and its lattice values, as many layers as lie inside the cube.

    `shared` holds what earlier blocks saw on common layers: a network's values change in their last digit with the
    composition of the batch, and a sign that differs between two blocks would tear the surface."""
    last = lattice.resolution - 1
    index = np.minimum(blocks[:, :, None] * BLOCK + np.arange(BLOCK + 1), last)  # (B, 3, BLOCK + 1)
    sampled = sampler([index[:, axis] for axis in range(3)])
    found = []
    for block, values in zip(blocks, sampled, strict=True):
        nx, ny, nz = np.minimum(BLOCK, last - block * BLOCK) + 1
        values = values[:nx, :ny, :nz]
        corner = 2 * block
        for part in _SHARED:
            layer = values[tuple(_LAYERS[p] for p in part)]
            layer[...] = shared.setdefault(tuple((corner + part).tolist()), layer.copy())
        found.append((block, values))
    return found


def _mark_neighbours(reached: np.ndarray, block: np.ndarray, values: np.ndarray) -> None:
    """Marks the blocks behind those sides of `values` that the surface passes through."""
    for axis in range(3):
        for layer, step in ((0, -1), (-1, 1)):
            side = values.take(layer, axis)
            behind = block[axis] + step
            if 0 <= behind < len(reached) and side.min() <= 0 < side.max():
                reached[(*block[:axis], behind, *block[axis + 1 :])] = True


@dataclass
class _Pieces:
    """Triangles of the blocks so far; vertices carry the identity of the lattice edge that they lie on."""

    lattice: _Lattice
    vertices: list[np.ndarray] = field(default_factory=list)  # (V, 3) float64 lattice coordinates
    keys: list[np.ndarray] = field(default_factory=list)  # (V,) int64
    faces: list[np.ndarray] = field(default_factory=list)  # (F, 3) int64
    num_vertices: int = 0

    def add(self, block: np.ndarray, values: np.ndarray) -> None:
        """Meshes one block; values: its lattice values, negative or 0 inside."""
        if not values.min() <= 0 < values.max():
            return
        local, faces = mcubes.marching_cubes(np.ascontiguousarray(values), 0.0)
        vertices = local + block * BLOCK
        base = np.floor(vertices).astype(np.int64)
        on_edge = vertices > base  # at most one axis; none when the surface meets a lattice point
        kind = np.where(on_edge.any(axis=1), on_edge.argmax(axis=1), 3)
        resolution = self.lattice.resolution
        self.keys.append(((base[:, 0] * resolution + base[:, 1]) * resolution + base[:, 2]) * 4 + kind)
        self.vertices.append(vertices)
        self.faces.append(faces[:, ::-1].astype(np.int64) + self.num_vertices)  # PyMCubes winds towards lower values
        self.num_vertices += len(vertices)

    def weld(self) -> Mesh:
        """The mesh of all blocks in scene units: one vertex per lattice edge or point, no face that uses one twice."""
        if not self.faces:
            return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
        _, first, label = np.unique(np.concatenate(self.keys), return_index=True, return_inverse=True)
        vertices = self.lattice.points(np.concatenate(self.vertices)[first])
        for piece, faces in enumerate(self.faces):  # one by one: there may be tens of millions of faces
            welded = label[faces]
            self.faces[piece] = welded[(welded != np.roll(welded, 1, axis=1)).all(axis=1)]
        return Mesh(vertices, np.concatenate(self.faces))


def _no_crossing(sampler: _Sampler, level: float, solid: str) -> str:
    found = f"its values range from {sampler.lowest:.4g} to {sampler.highest:.4g} over the cube of half edge "
    found += f"{sampler.lattice.radius:g}"
    if solid == "below":
        state = "the object has vanished" if sampler.lowest >= level else "all of the space counts as inside"
        return (
            f"the SDF never crosses {level:g}: {found}, so {state} and there is no surface to export. Check the "
            "cameras and masks, and that the object fills the cube (model.radius); then train again, with a larger "
            "system.loss.lambda_mask or lambda_eikonal if the SDF collapses."
        )
    return (
        f"the density never crosses {level:g}: {found}. Set model.geometry.isosurface.threshold between these two "
        "values, or train longer when they are almost equal."
    )
