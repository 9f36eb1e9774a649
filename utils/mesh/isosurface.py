"""Marching cubes around the surface only: meshes a field at 2048^3 and beyond without holding the whole lattice."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from utils.errors import ReconstructionError
from utils.memory import in_rows
from utils.mesh import Mesh
from utils.mesh.marching_cubes import triangles

Field = Callable[[Tensor], Tensor]  # (N, 3) float32 scene points -> (N,) values, on the same device

BLOCK = 16  # lattice points along a block's edge
STRIDE = 8  # lattice points from one coarse point to the next; divides BLOCK


def extract_isosurface(
    field: Field,
    radius: float,
    resolution: int,
    level: float,
    solid: Literal["below", "above"],
    occupied: Tensor | None = None,
    chunk: int = 2**18,
    safety: float = 2.0,
    device: torch.device | str = "cpu",
) -> Mesh:
    """The surface `field == level` in the cube [-radius, radius]^3, welded, winding outward, in scene units.

    field: maps (N, 3) float32 scene points on `device` to (N,) values, called with at most `chunk` points.
    resolution: lattice points along each edge of the cube, >= 2; the spacing is 2 * radius / (resolution - 1).
    solid: "below" for an SDF (inside where the value is below `level`), "above" for a density.
    occupied: (G, G, G) bool over the same cube; blocks that touch an occupied cell or its neighbours are searched too.
    safety: how many times faster than its distance an SDF may change ("below" only); more finds thinner parts, slower.

    A block is searched when the coarse lattice, `occupied`, or a neighbour through whose side the surface leaves says
    so; so what is found is closed wherever the dense surface is. Each lattice point is evaluated once: values that
    change in the last digit with the batch cannot tear the surface. A density can lose a part that is thinner than a
    coarse cell and that `occupied` does not name. Raises ReconstructionError when nothing crosses `level`, or a value
    is not finite."""
    lattice = _Lattice(radius, resolution, torch.device(device))
    sampler = _Sampler(field, lattice, level, -1.0 if solid == "above" else 1.0, chunk)
    search = _coarse_search(sampler, lattice, None if solid == "above" else safety)
    if occupied is not None:
        search |= _blocks_touching(occupied.to(search.device), lattice)
    blocks = _Blocks(sampler, lattice)
    keys, vertices, faces, num_vertices = [], [], [], 0
    visited = torch.zeros_like(search)
    group = max(1, chunk // (BLOCK + 1) ** 3)
    while search.any():
        visited |= search
        blocks.sample(search)
        reached = torch.zeros_like(search)
        for part in search.nonzero().split(group):
            values = blocks.padded(part)
            _mark_neighbours(reached, part, values)
            own = triangles(values, part * BLOCK, resolution - 1)
            keys.append(own[0])
            vertices.append(own[1])
            faces.append(own[2] + num_vertices)
            num_vertices += len(own[0])
        search = reached & ~visited
    del blocks
    if not num_vertices:
        raise ReconstructionError(_no_crossing(sampler, level, solid))
    return _weld(lattice, keys, vertices, faces)


@dataclass(frozen=True)
class _Lattice:
    """The regular lattice over the cube, and its blocks of BLOCK^3 points."""

    radius: float
    resolution: int
    device: torch.device

    def __post_init__(self) -> None:
        assert self.radius > 0, f"a cube has a size: {self}"
        assert self.resolution >= 2, f"a cell has two ends: {self}"

    @property
    def num_blocks(self) -> int:
        """Blocks along each axis that hold cells."""
        return -(-(self.resolution - 1) // BLOCK)

    @property
    def spacing(self) -> float:
        """Distance of neighbouring lattice points, scene units."""
        return 2.0 * self.radius / (self.resolution - 1)


@dataclass
class _Sampler:
    """Evaluates the field on lattice points, in chunks; values are shifted and turned so that <= 0 is inside."""

    field: Field
    lattice: _Lattice
    level: float
    sign: float
    chunk: int
    lowest: float = float("inf")
    highest: float = -float("inf")

    def __call__(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """(B, X, Y, Z) float32 on B boxes; (B, X), (B, Y) and (B, Z): their lattice indices along the axes."""
        (B, X), Y, Z = x.shape, y.shape[1], z.shape[1]
        out = torch.empty(B * X * Y * Z, device=x.device)
        for start in range(0, len(out), self.chunk):
            num = min(self.chunk, len(out) - start)
            part = torch.arange(start, start + in_rows(num, x.device), device=x.device).clamp(max=len(out) - 1)
            rest, k = part // Z, part % Z
            rest, j = rest // Y, rest % Y
            box, i = rest // X, rest % X
            index = torch.stack([x[box, i], y[box, j], z[box, k]], dim=1)
            points = (index.double() * self.lattice.spacing - self.lattice.radius).float()
            values = self.field(points).float().reshape(len(points))[:num]
            self._check(values, points[:num])
            out[start : start + num] = self.sign * (values - self.level)
        return out.view(B, X, Y, Z)

    def _check(self, values: Tensor, points: Tensor) -> None:
        lowest, highest = torch.stack([values.min(), values.max()]).tolist()  # NaN where one value is
        if not (lowest > -float("inf") and highest < float("inf")):
            finite = values.isfinite()
            where = ", ".join(f"{x:.3g}" for x in points[finite.int().argmin()].tolist())
            raise ReconstructionError(
                f"the field has {int((~finite).sum())} values that are not finite among {len(values)} points, the "
                f"first at ({where}) in scene units. Training diverged: go back to an earlier checkpoint, or train "
                "again with a lower learning rate or in 32-bit precision."
            )
        self.lowest, self.highest = min(self.lowest, lowest), max(self.highest, highest)


def _coarse_search(sampler: _Sampler, lattice: _Lattice, safety: float | None) -> Tensor:
    """(n, n, n) bool: blocks whose coarse values change sign or, given `safety`, are small enough to hide a surface."""
    step = BLOCK // STRIDE
    axis = torch.arange(lattice.num_blocks * step + 1, device=lattice.device) * STRIDE
    coarse = sampler(*[axis.clamp(max=lattice.resolution - 1)[None]] * 3)

    def highest(values: Tensor) -> Tensor:
        """(n, n, n) over each block's coarse points, both ends included."""
        return F.max_pool3d(values[None], step + 1, step)[0, 0]

    search = (highest(-coarse) >= 0) & (highest(coarse) > 0)
    if safety is not None:
        # No point of a coarse cell is farther from the nearest of its corners than half the cell's diagonal.
        search |= -highest(-coarse.abs()) < safety * 0.5 * 3.0**0.5 * STRIDE * lattice.spacing
    return search


def _blocks_touching(occupied: Tensor, lattice: _Lattice) -> Tensor:
    """(n, n, n) bool: blocks that overlap an occupied cell or one of its neighbours."""
    width = (lattice.resolution - 1) / len(occupied)
    cells = torch.arange(len(occupied), device=occupied.device) * width
    lower = torch.arange(lattice.num_blocks, device=occupied.device)[:, None] * BLOCK
    overlap = ((cells - width <= lower + BLOCK) & (cells + 2 * width >= lower)).float()  # (n, G)
    touched = occupied.float()
    for _ in range(3):  # each product moves its axis to the end: after three, the order is as before
        touched = torch.tensordot(touched, overlap, dims=([0], [1]))
    return touched > 0


class _Blocks:
    """The values of the lattice where it was sampled: each block holds BLOCK^3 points, its far sides its neighbours."""

    def __init__(self, sampler: _Sampler, lattice: _Lattice) -> None:
        size = lattice.num_blocks + 1  # the last ones hold far sides only
        self.sampler, self.lattice = sampler, lattice
        self.slot = torch.full((size, size, size), -1, dtype=torch.int64, device=lattice.device)
        self.values = torch.empty(0, BLOCK, BLOCK, BLOCK, device=lattice.device)

    def sample(self, search: Tensor) -> None:
        """Evaluates what `padded` needs for the blocks where `search` (n, n, n) holds."""
        needed = F.max_pool3d(F.pad(search.float(), (1, 1) * 3)[None], 2, 1)[0] > 0
        new = (needed & (self.slot < 0)).nonzero()
        self.slot[tuple(new.unbind(1))] = torch.arange(len(new), device=new.device) + len(self.values)
        index = new[:, :, None] * BLOCK + torch.arange(BLOCK, device=new.device)
        index = index.clamp(max=self.lattice.resolution - 1)
        self.values = torch.cat([self.values, self.sampler(*index.unbind(1))])

    def padded(self, blocks: Tensor) -> Tensor:
        """(B, BLOCK + 1, ...) values of blocks (B, 3), their far sides included."""
        out = self.values.new_empty(len(blocks), BLOCK + 1, BLOCK + 1, BLOCK + 1)
        parts = (slice(0, BLOCK), slice(0, BLOCK)), (slice(BLOCK, BLOCK + 1), slice(0, 1))  # where to, where from
        for offset in product((0, 1), repeat=3):
            slot = self.slot[tuple((blocks + torch.tensor(offset, device=blocks.device)).unbind(1))]
            to, source = zip(*(parts[o] for o in offset), strict=True)
            out[:, to[0], to[1], to[2]] = self.values[slot, source[0], source[1], source[2]]
        return out


def _mark_neighbours(reached: Tensor, blocks: Tensor, values: Tensor) -> None:
    """Marks the blocks behind those sides of `values` that the surface passes through."""
    for axis in range(3):
        for layer, step in ((0, -1), (BLOCK, 1)):
            side = values.select(axis + 1, layer).flatten(1)
            crossed = (side.amin(1) <= 0) & (side.amax(1) > 0)
            behind = blocks[crossed].clone()
            behind[:, axis] += step
            behind = behind[(behind[:, axis] >= 0) & (behind[:, axis] < len(reached))]
            reached[tuple(behind.unbind(1))] = True


def _weld(lattice: _Lattice, keys: list[Tensor], vertices: list[Tensor], faces: list[Tensor]) -> Mesh:
    """The mesh of all blocks in scene units: one vertex per lattice edge."""
    label = torch.cat(keys)
    keys.clear()
    unique, label = label.unique(return_inverse=True)
    place = torch.cat(vertices)
    vertices.clear()
    first = torch.empty_like(unique).scatter_(0, label, torch.arange(len(label), device=label.device))
    place = place[first] * lattice.spacing - lattice.radius
    on_host, start = torch.empty(sum(map(len, faces)), 3, dtype=torch.int64), 0
    for part in faces:  # one by one: there may be tens of millions of faces
        on_host[start : start + len(part)] = label[part]
        start += len(part)
    return Mesh(place.cpu().numpy(), on_host.numpy())


def _no_crossing(sampler: _Sampler, level: float, solid: str) -> str:
    values = f"its values range from {sampler.lowest:.4g} to {sampler.highest:.4g} over the cube of half edge "
    values += f"{sampler.lattice.radius:g}"
    if solid == "below":
        state = "the object has vanished" if sampler.lowest >= level else "all of the space counts as inside"
        return (
            f"the SDF never crosses {level:g}: {values}, so {state} and there is no surface to export. Check the "
            "cameras and masks, and that the object fills the cube (model.radius); then train again, with a larger "
            "system.loss.lambda_mask or lambda_eikonal if the SDF collapses."
        )
    return (
        f"the density never crosses {level:g}: {values}. Set model.geometry.isosurface.threshold between these two "
        "values, or train longer when they are almost equal."
    )
