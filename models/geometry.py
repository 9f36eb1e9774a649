"""Fields of geometry: a signed distance with its gradient, or a density."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.configs import VolumeDensityConfig, VolumeSDFConfig
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
    """Signed distance in scene units, negative inside; differentiable in the parameters, not in the points."""

    def sdf(self, points: Tensor) -> Tensor:
        """(S,) signed distances of scene points (S, 3)."""
        return self.network(self.encoding(self.unit_cube(points)))[:, 0].float() * self.radius

    def forward(self, points: Tensor, count: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """sdf (S,), gradient (S, 3) by scene coordinates, feature (S, feature_dim) of scene points (S, 3).

        count: () int64; what is returned for points from there on means nothing, but is finite."""
        unit = self.unit_cube(points)
        features, jacobian = self.encoding.encode(unit, count)
        sdf, feature, gradient = self.network.sdf(unit, features, jacobian)
        # by [0, 1] in units of the radius: radius / (2 radius) makes scene units
        return sdf.float() * self.radius, 0.5 * gradient, feature


class _TruncatedExp(torch.autograd.Function):
    """exp whose gradient is cut at exp(15) (as in torch-ngp), so that one bad sample cannot blow up a step."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.exp(x)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * torch.exp(x.clamp(max=15.0))


class VolumeDensity(_VolumeField):
    """Density per scene unit, >= 0; differentiable in the parameters, not in the points."""

    def forward(self, points: Tensor, count: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """density (S,) and feature (S, feature_dim) of scene points (S, 3); `count` as for an SDF."""
        feature = self.network(self.encoding(self.unit_cube(points), count), count)
        raw = feature[:, 0].float() + self.config.density_bias
        density = _TruncatedExp.apply(raw) if self.config.density_activation == "trunc_exp" else F.softplus(raw)
        return density, feature

    def density(self, points: Tensor) -> Tensor:
        """(S,) densities of scene points (S, 3)."""
        return self(points)[0]
