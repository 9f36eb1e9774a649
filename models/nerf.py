"""NeRF on a hash grid (Mildenhall et al. 2020, arXiv:2003.08934; Müller et al. 2022, arXiv:2201.05989)."""

import torch
from torch import Tensor

from models import ops
from models.base import RenderOutput, SampleValues, VolumeModel
from models.configs import NeRFConfig
from models.encodings import HashGrid
from models.geometry import VolumeDensity
from models.mlp import MLP
from models.texture import VolumeRadiance
from utils.rays import Rays, RaySamples
from utils.registry import build

FAINT = 1e-6  # samples that less light reaches get no gradient: a view shows nothing of them


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
        alpha, colors = self._evaluate(rays, packed, points)
        weights, opacity, distance, rgb = ops.composite(alpha, (colors,), packed, FAINT, backend=self.config.backend)
        return RenderOutput(
            rgb=rgb,
            opacity=opacity,
            distance=distance,
            normal=None,
            within_budget=packed.within_budget,
            samples=SampleValues(packed, points, weights),
        )

    def _evaluate(self, rays: Rays, packed: RaySamples, points: Tensor) -> tuple[Tensor, Tensor]:
        """Opacity (S,) and colour (S, 3) of samples at scene points (S, 3): at one go, unless these need a gradient."""
        if self._is_plain and not points.requires_grad and not rays.directions.requires_grad:
            return self.geometry.radiance(points, packed, self.texture.head, self.texture.encoding(rays.directions))
        density, feature = self.geometry(points, packed.num_samples)
        alpha = ops.density_alpha(density, packed, backend=self.config.backend)
        return alpha, self.texture(rays.directions, packed, feature)

    @property
    def _is_plain(self) -> bool:
        """Whether a hash grid alone is encoded, and two networks of one precision make density and colour of it."""
        geometry, texture = self.geometry, self.texture
        if type(geometry) is not VolumeDensity or type(texture) is not VolumeRadiance:
            return False
        networks = geometry.network, texture.network
        plain = isinstance(geometry.encoding, HashGrid) and all(isinstance(network, MLP) for network in networks)
        if not plain or geometry.encoding.include_xyz or (texture.network.is_squashed and texture.squash):
            return False
        return networks[0].config.full_precision == networks[1].config.full_precision

    def field_value(self, points: Tensor) -> Tensor:
        """(N,) density."""
        return self.geometry.density(points)

    def color(self, points: Tensor, outward: Tensor) -> Tensor:
        """See VolumeModel.color."""
        return self.texture(-outward, None, self.geometry(points)[1])
