"""Finds pockets of air between an object and what it stands on, which open to the outside by less than a cell."""

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, label
from torch import Tensor
from torch.nn import functional as F

from utils.mesh.isosurface import Field

MAX_CELLS = 128  # along the edge of the cube: an opening narrower than a cell is where the field is uncertain
_PASSED = 0.87  # cells from the middle of a cell to its corners
_REACH = 1.25  # cells around a pocket that are filled with it, so that the filling meets the walls
_APART = 1.0  # cells that the filling keeps from air that is not in a pocket


def find_pockets(
    sdf: Field, ground: np.ndarray, half_edge: float, cells: int, chunk: int, device: torch.device
) -> Field | None:
    """A field that is negative in the pockets, in scene units about the distance to where they end; None without any.

    A pocket is air, `sdf` above 0 at the middle of cells, that comes next to the plane and that no chain of such cells
    connects with the outside; cells through which the plane may pass connect nothing. ground: (4,) nx, ny, nz, d of the
    plane n @ x = d; half_edge: of the cube that is searched; cells: along its edge."""
    size = 2.0 * half_edge / cells
    axis = (torch.arange(cells, device=device) + 0.5) * size - half_edge
    centres = torch.cartesian_prod(axis, axis, axis)
    plane = torch.from_numpy(ground).float().to(device)
    heights = centres @ plane[:3] - plane[3]
    air = heights > -_PASSED * size  # where a part of a cell lies above the plane
    air[air.clone()] = torch.cat([sdf(part).reshape(-1) > 0.0 for part in centres[air].split(chunk)])
    air, heights = (values.reshape((cells,) * 3).cpu().numpy() for values in (air, heights / size))
    free, low = air & (heights > _PASSED), np.argwhere(np.abs(heights) <= _PASSED)
    pocket = _enclosed(free, free & (heights < _PASSED + 1.0))
    if not pocket.any():
        return None
    for step in (2.0, 1.0):  # what lies between a pocket and the plane belongs to it
        above = np.rint(low + step * ground[:3]).astype(int).clip(0, cells - 1)
        pocket[tuple(low[pocket[tuple(above.T)]].T)] = True
    to_pocket, to_air = distance_transform_edt(~pocket), distance_transform_edt(pocket | ~air)
    ends_at = np.maximum(to_pocket - _REACH, _APART - to_air) * size
    grid = torch.from_numpy(ends_at.astype(np.float32)).to(device)[None, None]

    def field(points: Tensor) -> Tensor:
        place = (points.flip(1) / half_edge)[None, None, None]  # grid_sample wants z, y, x from -1 to 1
        return F.grid_sample(grid, place, padding_mode="border", align_corners=False).reshape(-1)

    return field


def _enclosed(free: np.ndarray, low: np.ndarray) -> np.ndarray:
    """(G, G, G) bool: the free cells of parts that contain a low cell and do not reach the border of the grid."""
    parts, _ = label(free)
    sides = [parts.take(end, axis).ravel() for axis in range(3) for end in (0, -1)]
    return np.isin(parts, np.setdiff1d(parts[low], np.concatenate(sides)))
