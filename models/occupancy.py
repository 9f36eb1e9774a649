"""A grid of the cells that may hold surface: rays take samples only there."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

PIECE = 2**18  # cells that are evaluated at once


class OccupancyGrid(nn.Module):
    """G^3 cells over [-radius, radius]^3, indexed [x, y, z]; each keeps a decaying maximum of the values found in it.

    Shapes never depend on data, and the host reads nothing."""

    def __init__(self, radius: float, resolution: int, threshold: float, decay: float = 0.95) -> None:
        """decay: in [0, 1], what is left of the value of a cell each time that another is found in it."""
        super().__init__()
        self.radius, self.resolution, self.threshold, self.decay = radius, resolution, threshold, decay
        self.register_buffer("value", torch.zeros(resolution**3))
        self.register_buffer("occupied", torch.ones(resolution, resolution, resolution, dtype=torch.bool))
        self.register_buffer("_strides", torch.tensor([resolution**2, resolution, 1]), persistent=False)
        self._allowed: Tensor | None = None  # shaped like occupied; None: any cell may be occupied

    @property
    def half_diagonal(self) -> float:
        """Half the diagonal of a cell, in scene units."""
        return 3.0**0.5 * self.radius / self.resolution

    @torch.no_grad()
    def update(self, evaluate: Callable[[Tensor], Tensor], generator: torch.Generator, every_cell: bool) -> None:
        """Evaluates all cells, or one of each eight in a row, and as many drawn evenly among the occupied ones.

        evaluate: scene points (N, 3) -> (N,) >= 0. A cell is occupied above min(threshold, mean of all cells)."""
        cells = torch.arange(self.value.shape[0], device=self.value.device) if every_cell else self._draw(generator)
        new = torch.cat([evaluate(self._points(part, generator)) for part in cells.split(PIECE)])
        visited = torch.zeros_like(self.occupied.view(-1)).index_fill_(0, cells, True)
        decayed = torch.where(visited, self.value * self.decay, self.value)
        self.value.copy_(decayed.scatter_reduce(0, cells, new, "amax"))
        level = self.value.mean().clamp(max=self.threshold)
        occupied = (self.value > level).view_as(self.occupied)
        self.occupied.copy_(occupied if self._allowed is None else occupied & self._allowed)

    def restrict(self, allowed: Callable[[Tensor], Tensor]) -> None:
        """Keeps cells empty, from now on, if `allowed` gives False (N,) for their middles (N, 3) in scene units."""
        cells = torch.arange(self.value.shape[0], device=self.value.device)
        parts = [allowed(self.points_in_cells(part, 0.5)) for part in cells.split(PIECE)]
        self._allowed = torch.cat(parts).view_as(self.occupied)
        self.occupied &= self._allowed

    def _draw(self, generator: torch.Generator) -> Tensor:
        """Cells, each half of them in order: neighbours in space are neighbours in memory, and are read together."""
        total = self.value.shape[0]
        uniform = (self._shares(total // 8, generator) * total).long().clamp(max=total - 1)
        rank = self.occupied.view(-1).cumsum(0)
        drawn = (self._shares(total // 8, generator) * rank[-1]).long()
        return torch.cat([uniform, torch.searchsorted(rank, drawn + 1).clamp(max=total - 1)])

    def _shares(self, num: int, generator: torch.Generator) -> Tensor:
        """(num,) float64 random numbers in [0, 1], in order: one in each of as many equal parts of that range."""
        random = torch.rand(num, generator=generator, device=self.value.device)
        return (torch.arange(num, device=random.device) + random.double()) / num

    def _points(self, cells: Tensor, generator: torch.Generator) -> Tensor:
        """A random scene point (N, 3) in each cell (N,)."""
        return self.points_in_cells(cells, torch.rand((len(cells), 3), generator=generator, device=cells.device))

    def points_in_cells(self, cells: Tensor, share: Tensor | float) -> Tensor:
        """Scene points (N, 3) in cells (N,), a share (N, 3) in [0, 1] of the way through each along x, y and z."""
        index = cells[:, None].div(self._strides, rounding_mode="floor").remainder(self.resolution)
        return (index + share) * (2.0 * self.radius / self.resolution) - self.radius
