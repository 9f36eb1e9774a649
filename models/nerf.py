"""NeRF on a hash grid (Mildenhall et al. 2020, arXiv:2003.08934; Müller et al. 2022, arXiv:2201.05989)."""

import torch
from torch import Tensor

from models import ops
from models.base import RenderOutput, SampleValues, VolumeModel
from models.configs import NeRFConfig
from utils.rays import Rays, RaySamples
from utils.registry import build


class NeRF(VolumeModel):
    """Density geometry and a colour network."""

    def __init__(self, config: NeRFConfig) -> None:
        super().__init__(config)
        self.texture = build(config.texture, config.geometry.feature_dim, config.backend)

    def occupancy_value(self, points: Tensor) -> Tensor:
        """Opacity of one step at each point (N, 3)."""
        return ops.alpha_from_density(self.geometry.density(points), self.step_length)

    def shade(
        self,
        rays: Rays,
        packed: RaySamples,
        generator: torch.Generator | None = None,
        needs: frozenset[str] = frozenset(),
    ) -> RenderOutput:
        """See VolumeModel.shade."""
        points = ops.sample_points(rays, packed, backend=self.config.backend)
        density, feature = self.geometry(points, packed.num_samples)
        alpha = ops.density_alpha(density, packed, backend=self.config.backend)
        colors = self.texture(rays.directions, packed, feature)
        weights, opacity, distance, rgb = ops.composite(alpha, (colors,), packed, backend=self.config.backend)
        return RenderOutput(
            rgb=rgb,
            opacity=opacity,
            distance=distance,
            normal=None,
            within_budget=packed.within_budget,
            samples=SampleValues(packed, points, weights),
        )

    def field_value(self, points: Tensor) -> Tensor:
        """(N,) density."""
        return self.geometry.density(points)

    def color(self, points: Tensor, outward: Tensor) -> Tensor:
        """See VolumeModel.color."""
        return self.texture(-outward, None, self.geometry(points)[1])
