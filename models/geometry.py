"""Fields of geometry: a signed distance with its gradient, or a density."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models import ops
from models.configs import VolumeDensityConfig, VolumeSDFConfig
from models.differences import NUM_TAPS, central_differences, follow, tap_points
from models.encodings import HashGrid
from models.mlp import MLP
from utils.rays import RaySamples
from utils.registry import build


class _VolumeField(nn.Module):
    """Encoding and network over the cube [-radius, radius]^3."""

    def __init__(self, config: VolumeSDFConfig | VolumeDensityConfig, backend: str = "auto") -> None:
        super().__init__()
        self.config = config
        self.radius = config.radius
        self.encoding = build(config.xyz_encoding_config, backend)
        self.network = build(config.mlp_network_config, self.encoding.output_dim, config.feature_dim, backend)

    def unit_cube(self, points: Tensor) -> Tensor:
        """Scene points (S, 3) in the coordinates [0, 1] of the region."""
        return points * (0.5 / self.radius) + 0.5

    def on_step(self, step: int) -> None:
        """Passes the step on to what depends on it."""
        self.encoding.on_step(step)


class VolumeSDF(_VolumeField):
    """Signed distance in scene units, negative inside; differentiable in the parameters. In `forward`, value and
    feature are differentiable in the points too, and the gradient is not."""

    def sdf(self, points: Tensor) -> Tensor:
        """(S,) signed distances of scene points (S, 3)."""
        return self.network(self.encoding(self.unit_cube(points)))[:, 0].float() * self.radius

    @property
    def eps(self) -> float:
        """Step of the finite differences in scene units; `progressive`: the side of a cell of the finest open level
        (Neuralangelo, arXiv:2306.03092, section 3.3). Fixed for a number of open levels, and so for a CUDA graph."""
        eps = self.config.finite_difference_eps
        return 2.0 * self.radius * self.encoding.cell_size if eps == "progressive" else eps

    def forward(
        self, points: Tensor, count: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """sdf (S,), gradient (S, 3) with respect to scene coordinates and feature (S, feature_dim) of scene points
        (S, 3); with finite differences also the Laplacian (S,) from the same values, in 1 / scene unit, else None.

        count: () int64; values for points from there on are finite but meaningless. generator: given in training; then
        the step of finite differences is jittered."""
        unit = self.unit_cube(points)
        if self.config.grad_type == "finite_difference":
            return self._by_differences(unit, count, self._jittered_eps(generator))
        if isinstance(self.encoding, HashGrid) and isinstance(self.network, MLP):
            sdf, feature, gradient = self.network.sdf_over_grid(unit, self.encoding, count)
        else:
            features, jacobian = self.encoding.encode(unit, count)
            sdf, feature, gradient = self.network.sdf(unit, features, jacobian)
        # The network's gradient is in units of the radius, by [0, 1]: radius / (2 radius) makes scene units
        return sdf.float() * self.radius, 0.5 * gradient, feature, None

    def _jittered_eps(self, generator: torch.Generator | None) -> float | Tensor:
        """`eps`; with a generator multiplied by one random factor (), which stays on the device."""
        jitter = self.config.finite_difference_jitter
        if generator is None or jitter == 0.0:
            return self.eps
        factor = torch.rand((), generator=generator, device=generator.device)
        return self.eps * (1.0 - jitter + 2.0 * jitter * factor)

    def _by_differences(
        self, unit: Tensor, count: Tensor | None, step: float | Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `forward` returns, from one query without a Jacobian; step: distance of the taps in scene units. The
        feature is that of the point itself."""
        eps = step * 0.5 / self.radius
        taps = tap_points(unit, eps)
        # A point and its taps lie side by side: they share cells of the grid, and padding stays at the end.
        queries, num_queries = taps.flatten(0, 1), None if count is None else NUM_TAPS * count
        out = self.network(self.encoding(queries, num_queries), num_queries, full_fp32=True)
        out = out.unflatten(0, (-1, NUM_TAPS))
        values = out[:, :, 0]
        gradient, laplacian = central_differences(values, taps, eps)
        own = follow(out[:, 0], unit, out.detach(), taps, eps)
        return own[:, 0] * self.radius, 0.5 * gradient, own, 0.25 / self.radius * laplacian


class VolumeDensity(_VolumeField):
    """Density per scene unit, >= 0; differentiable in the parameters and, in `forward`, in the points."""

    def forward(self, points: Tensor, count: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """density (S,) and feature (S, feature_dim) of scene points (S, 3); `count` as for an SDF."""
        feature = self.network(self._encoded(self.unit_cube(points), count), count)
        raw = feature[:, 0].float() + self.config.density_bias
        return ops.density_from_raw(raw, self.config.density_activation), feature

    def radiance(
        self, points: Tensor, packed: RaySamples, color: Callable[[Tensor], ops.Layers], harmonics: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Opacity (S,) and colour (S, 3) of samples at scene points (S, 3); see `ops.encode_radiance`.

        color: the network that makes the colour, for a device; harmonics: (R, H) of the rays."""
        unit, config = self.unit_cube(points), self.config
        layers = self.network.layers_for(unit), color(unit)
        heads = ops.RadianceHeads(*layers, config.density_activation, config.density_bias)
        return self.network.radiance_over_grid(unit, self.encoding, heads, harmonics, packed)

    def _encoded(self, unit: Tensor, count: Tensor | None) -> Tensor:
        """(S, output_dim) of points (S, 3) in [0, 1]; where these need a gradient, by the Jacobian of the encoding."""
        if not unit.requires_grad:
            return self.encoding(unit, count)
        features, jacobian = self.encoding.encode(unit.detach(), count)
        features = ops.follow_points(features, unit, jacobian)
        return torch.cat([unit * 2.0 - 1.0, features], dim=-1) if self.encoding.include_xyz else features

    def density(self, points: Tensor) -> Tensor:
        """(S,) densities of scene points (S, 3)."""
        return self(points)[0]
