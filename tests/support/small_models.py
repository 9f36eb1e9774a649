"""Small models of both kinds: with random weights, and with a sphere in place of the geometry; rays to see them by."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.base import VolumeModel
from models.configs import (
    NeRFConfig,
    NeuSConfig,
    VarianceConfig,
    VolumeDensityConfig,
    VolumeRadianceConfig,
    VolumeSDFConfig,
)
from models.nerf import NeRF
from models.network_configs import FullyFusedMLPConfig, HashGridConfig, SphericalHarmonicsConfig, VanillaMLPConfig
from models.neus import NeuS
from utils.rays import Rays

RADIUS = 0.8  # of the sphere
SHARPNESS = 1000.0  # inv_s of the sphere, and its density
GRID = HashGridConfig(n_levels=4, log2_hashmap_size=10, base_resolution=4, per_level_scale=1.6)
SIZES = {"num_samples_per_ray": 128, "grid_resolution": 16, "ray_chunk": 64}


class Sphere(nn.Module):
    """A geometry whose surface is a sphere; `outputs` says which, and the feature is the position."""

    def __init__(self, with_sdf: bool) -> None:
        super().__init__()
        self.with_sdf = with_sdf

    def forward(
        self, points: Tensor, count: Tensor | None = None, generator: torch.Generator | None = None
    ) -> tuple[Tensor, ...]:
        sdf = points.norm(dim=-1) - RADIUS
        feature = torch.cat([sdf[:, None], points], dim=-1)
        normal = F.normalize(points, dim=-1)
        return (sdf, normal, feature, None) if self.with_sdf else (SHARPNESS * (sdf < 0.0), feature)


class Spy:
    """The number of samples of each evaluation of a geometry."""

    def __init__(self, model: VolumeModel) -> None:
        self.sizes: list[int] = []
        model.geometry.register_forward_hook(lambda module, inputs, output: self.sizes.append(len(inputs[0])))


def texture(input_dim: int) -> VolumeRadianceConfig:
    return VolumeRadianceConfig(input_dim, SphericalHarmonicsConfig(2), FullyFusedMLPConfig(), "sigmoid")


def random_model(name: str, device: torch.device) -> VolumeModel:
    """Random weights, large enough to make the field vary: rays between clear and opaque."""
    network = VanillaMLPConfig(n_neurons=16)
    if name == "neus":
        geometry = VolumeSDFConfig(GRID, network, feature_dim=4)
        model = NeuS(NeuSConfig(geometry, texture(7), variance=VarianceConfig(0.1), **SIZES))
    else:
        geometry = VolumeDensityConfig(GRID, network, feature_dim=4)
        model = NeRF(NeRFConfig(geometry, texture(4), **SIZES))
    with torch.no_grad():
        for parameter in model.geometry.parameters():
            parameter.normal_(0.0, 0.5)
    return model.to(device)


def sphere_model(name: str, device: torch.device) -> VolumeModel:
    """An opaque sphere in a region whose cells are all occupied."""
    model = random_model(name, device)
    model.geometry = Sphere(with_sdf=name == "neus")
    if name == "neus":
        model.variance.variance.data.fill_(torch.tensor(SHARPNESS).log() / 10.0)
    return model


def random_rays(num: int, spread: float, device: torch.device) -> Rays:
    """Rays from a distance of 3 through random points, at most `spread` from the origin."""
    origins = 3.0 * F.normalize(torch.randn(num, 3), dim=-1)
    targets = spread * torch.rand(num, 1) * F.normalize(torch.randn(num, 3), dim=-1)
    directions, near = F.normalize(targets - origins, dim=-1), torch.zeros(num)
    rays = (origins, directions, near, torch.full_like(near, torch.inf))
    return Rays(*(part.to(device) for part in rays))
