"""Position encodings that return value and Jacobian from one pass, and the encoding of viewing directions."""

import math

import torch
from torch import Tensor, nn

from models import ops
from models.network_configs import (
    FrequencyConfig,
    HashGridConfig,
    ProgressiveBandHashGridConfig,
    SphericalHarmonicsConfig,
)


class PositionEncoding(nn.Module):
    """Encodes points of the unit cube; a subclass computes `features` and, for geometries with a gradient, `encode`."""

    include_xyz: bool
    num_features: int
    active_levels: int | None = None  # of a hash grid that opens them one by one; None: all
    step: int = 0

    @property
    def output_dim(self) -> int:
        """Length of the encoded vector, with the position if `include_xyz`."""
        return self.num_features + 3 * self.include_xyz

    def features(self, points: Tensor, count: Tensor | None = None) -> Tensor:
        """(S, num_features) of points (S, 3) in [0, 1]; those from `count` () on are padding, and may be skipped."""
        raise NotImplementedError

    def encode(self, points: Tensor, count: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(S, num_features) and the Jacobian (S, num_features, 3) with respect to the points in [0, 1]."""
        raise NotImplementedError

    def forward(self, points: Tensor, count: Tensor | None = None) -> Tensor:
        """(S, output_dim) of points (S, 3) in [0, 1]."""
        features = self.features(points, count)
        return torch.cat([points * 2.0 - 1.0, features], dim=-1) if self.include_xyz else features

    def on_step(self, step: int) -> None:
        """Remembers the step; an encoding that changes during training acts on it."""
        self.step = step


class HashGrid(PositionEncoding):
    """Multi-resolution hash grid, indexed as in tiny-cuda-nn (Müller et al. 2022, arXiv:2201.05989)."""

    def __init__(self, config: HashGridConfig, backend: str = "auto") -> None:
        super().__init__()
        self.backend = backend
        self.include_xyz = config.include_xyz
        self.spec = ops.GridSpec(
            num_levels=config.n_levels,
            features_per_level=config.n_features_per_level,
            log2_hashmap_size=config.log2_hashmap_size,
            base_resolution=config.base_resolution,
            per_level_scale=config.per_level_scale,
        )
        self.num_features = self.spec.output_dim
        table = torch.empty(self.spec.num_entries, config.n_features_per_level)
        self.table = nn.Parameter(nn.init.uniform_(table, -1e-4, 1e-4))
        self.table.in_part = True  # a step touches a part of it: see systems.steps.optim

    def features(self, points: Tensor, count: Tensor | None = None) -> Tensor:
        """(S, num_features) of points (S, 3) in [0, 1]; differentiable in the table only."""
        return ops.hash_features(points, self.table, self.spec, self.active_levels, count, backend=self.backend)

    def encode(self, points: Tensor, count: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Value and Jacobian; both differentiable in the table only."""
        return ops.hash_encode(points, self.table, self.spec, self.active_levels, count, backend=self.backend)


class ProgressiveBandHashGrid(HashGrid):
    """A hash grid that opens its levels from coarse to fine (Neuralangelo, arXiv:2306.03092, section 3.3)."""

    def __init__(self, config: ProgressiveBandHashGridConfig, backend: str = "auto") -> None:
        super().__init__(config, backend)
        self.config = config
        self.on_step(0)

    def on_step(self, step: int) -> None:
        """Opens the levels that are due."""
        super().on_step(step)
        opened = max(step - self.config.start_step, 0) // self.config.update_steps
        self.active_levels = min(self.config.start_level + opened, self.config.n_levels)

    @property
    def cell_size(self) -> float:
        """Side of a cell of the finest open level, as a share of the unit cube."""
        return 1.0 / self.spec.levels[self.active_levels - 1].scale


class Frequency(PositionEncoding):
    """sin and cos of 2^k pi x for each coordinate x in [-1, 1] (Mildenhall et al. 2020, eq. 4)."""

    def __init__(self, config: FrequencyConfig, backend: str = "auto") -> None:
        super().__init__()
        self.backend = backend
        self.include_xyz = config.include_xyz
        self.num_features = 6 * config.n_frequencies
        self.register_buffer("octaves", math.pi * 2.0 ** torch.arange(config.n_frequencies), persistent=False)

    def features(self, points: Tensor, count: Tensor | None = None) -> Tensor:
        """(S, 6 n): sines of all octaves of x, y, z, then cosines."""
        phase = ((points * 2.0 - 1.0)[:, None, :] * self.octaves[:, None]).flatten(1)
        return torch.cat([phase.sin(), phase.cos()], dim=-1)

    def encode(self, points: Tensor, count: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Value and Jacobian in closed form; each feature depends on one coordinate."""
        features = self.features(points)
        half = features.shape[1] // 2
        slope = 2.0 * self.octaves.repeat_interleave(3)
        diagonal = torch.cat([slope * features[:, half:], -slope * features[:, :half]], dim=-1)
        axis = torch.eye(3, dtype=points.dtype, device=points.device).repeat(features.shape[1] // 3, 1)
        return features, diagonal[:, :, None] * axis


class SphericalHarmonics(nn.Module):
    """Real spherical harmonics of a unit direction."""

    def __init__(self, config: SphericalHarmonicsConfig, backend: str = "auto") -> None:
        super().__init__()
        self.degree, self.backend = config.degree, backend
        self.output_dim = config.degree**2

    def forward(self, directions: Tensor) -> Tensor:
        """(S, degree^2) of unit directions (S, 3)."""
        return ops.spherical_harmonics(directions, self.degree, backend=self.backend)
