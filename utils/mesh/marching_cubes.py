"""Marching cubes over many small boxes at once, on any device."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from utils.mesh.cell_cases import CORNERS, EDGES, triangles_of

MAX_TRIANGLES = 5
MARGIN = 1e-3  # of an edge, from its ends: vertices around a lattice point stay apart, also as float32


@dataclass(frozen=True)
class CaseTable:
    """The triangles of each of the 256 cases, by the edges of the cell that their corners lie on."""

    count: Tensor  # (256,) int64 triangles
    edges: Tensor  # (256, MAX_TRIANGLES, 3) int64, wound outward
    base: Tensor  # (12, 3) int64, the corner that an edge starts at
    axis: Tensor  # (12,) int64, the axis that it runs along


@cache
def case_table(device: torch.device) -> CaseTable:
    """The table on a device."""
    count, edges = torch.zeros(256, dtype=torch.int64), torch.zeros(256, MAX_TRIANGLES, 3, dtype=torch.int64)
    for case in range(1, 255):
        found = torch.tensor(triangles_of(case))
        count[case], edges[case, : len(found)] = len(found), found
    base, axis = torch.tensor([corner for corner, _ in EDGES]), torch.tensor([axis for _, axis in EDGES])
    return CaseTable(*(values.to(device) for values in (count, edges, base, axis)))


def triangles(values: Tensor, origins: Tensor, last: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where `values == 0` in boxes (B, n, n, n) of lattice values, inside where they are <= 0.

    origins: (B, 3) int64 lattice coordinates of each box's first value; cells from `last` on are left out, `last` + 1
    being the lattice points along an axis. Returns keys (V,) int64, one for each lattice edge that the surface meets,
    equal in every box; vertices (V, 3) float64 in lattice coordinates, none nearer to a lattice point than MARGIN;
    faces (F, 3) int64 into them, wound outward."""
    lookup = case_table(values.device)
    inside = values <= 0.0
    n = values.shape[1] - 1
    case = torch.zeros(len(values), n, n, n, dtype=torch.int64, device=values.device)
    for bit, (x, y, z) in enumerate(CORNERS):
        case |= inside[:, x : x + n, y : y + n, z : z + n].long() << bit
    fits = origins[:, :, None] + torch.arange(n, device=values.device) < last  # (B, 3, n)
    fits = fits[:, 0, :, None, None] & fits[:, 1, None, :, None] & fits[:, 2, None, None, :]
    cells = ((case > 0) & (case < 255) & fits).nonzero()  # (M, 4) box and cell
    case = case[tuple(cells.unbind(1))]

    count = lookup.count[case]
    owner = torch.repeat_interleave(count)  # (F,) cell of each triangle
    place = torch.arange(len(owner), device=values.device) - (count.cumsum(0) - count)[owner]
    edge = lookup.edges[case[owner], place].flatten()  # (3 F,)
    box, low = cells[owner, 0].repeat_interleave(3), cells[owner, 1:].repeat_interleave(3, 0) + lookup.base[edge]
    axis = lookup.axis[edge]
    step = torch.eye(3, dtype=torch.int64, device=values.device)[axis]
    base = origins[box] + low
    keys = ((base[:, 0] * (last + 1) + base[:, 1]) * (last + 1) + base[:, 2]) * 3 + axis
    start, end = values[(box, *low.unbind(1))].double(), values[(box, *(low + step).unbind(1))].double()
    share = (start / (start - end)).clamp(MARGIN, 1.0 - MARGIN)
    keys, faces = keys.unique(return_inverse=True)
    first = torch.empty_like(keys).scatter_(0, faces, torch.arange(len(faces), device=values.device))
    vertices = base[first].double() + share[first, None] * step[first]
    return keys, vertices, faces.view(-1, 3)
