"""The layout of a multi-resolution hash grid: what each level holds and where it lies in the one table."""

import math
import struct
from dataclasses import dataclass
from functools import cached_property

PRIMES = (1, 2654435761, 805459861)  # of the spatial hash, arXiv:2201.05989 eq. 4


@dataclass(frozen=True)
class Level:
    """One resolution of the grid; its entries are rows `offset` to `offset + size` of the table."""

    scale: float  # cells per unit length; a point lies at x * scale + 0.5
    resolution: int  # vertices per axis
    offset: int
    size: int
    dense: bool  # one entry per vertex; otherwise vertices share entries by a spatial hash


@dataclass(frozen=True)
class GridSpec:
    """Shape of a hash grid, indexed as in tiny-cuda-nn, so that a grid means the same in both."""

    num_levels: int
    features_per_level: int
    log2_hashmap_size: int
    base_resolution: int
    per_level_scale: float

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The levels, coarse to fine."""
        levels: list[Level] = []
        offset = 0
        for index in range(self.num_levels):
            # Rounded to float32 as in the kernels: a growth meant to end at 2048 must not give ceil(2047.0000001).
            scale = _float32(self.base_resolution * self.per_level_scale**index - 1.0)
            resolution = math.ceil(scale) + 1
            dense = resolution**3 <= 2**self.log2_hashmap_size
            size = min(-(-(resolution**3) // 8) * 8, 2**self.log2_hashmap_size)
            levels.append(Level(scale, resolution, offset, size, dense))
            offset += size
        return tuple(levels)

    @property
    def num_entries(self) -> int:
        """Rows of the table, over all levels."""
        return self.levels[-1].offset + self.levels[-1].size

    @property
    def output_dim(self) -> int:
        """Features per point, over all levels; level l writes columns l*F to (l+1)*F."""
        return self.num_levels * self.features_per_level

    def clip_levels(self, active_levels: int | None) -> int:
        """Number of levels in use: all of them for None, otherwise `active_levels` cut to [0, num_levels]."""
        return self.num_levels if active_levels is None else max(0, min(active_levels, self.num_levels))


def _float32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]
