"""The level of a density is where its surface is seen, whatever its scale."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.configs import NeRFConfig, VolumeDensityConfig, VolumeRadianceConfig
from models.nerf import NeRF
from models.network_configs import FullyFusedMLPConfig, HashGridConfig, SphericalHarmonicsConfig, VanillaMLPConfig
from systems.export.density_level import density_level
from systems.export.exporter import extract_surface, surface_level
from utils.errors import ReconstructionError
from utils.rays import Rays

RADIUS = 0.6


class Ball(nn.Module):
    """A density that grows by `slope` with each scene unit below the surface of a sphere."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def density(self, points: Tensor) -> Tensor:
        return self.slope * (RADIUS - points.norm(dim=-1)).clamp(min=0.0)


def ball(slope: float) -> NeRF:
    grid = HashGridConfig(n_levels=2, log2_hashmap_size=8)
    texture = VolumeRadianceConfig(4, SphericalHarmonicsConfig(2), FullyFusedMLPConfig())
    geometry = VolumeDensityConfig(grid, VanillaMLPConfig(), feature_dim=4)
    model = NeRF(NeRFConfig(geometry, texture, num_samples_per_ray=512, grid_resolution=16, ray_chunk=300))
    model.geometry = Ball(slope)
    return model


def rays(num: int = 400, spread: float = 1.5) -> Rays:
    """Side by side along -x, from all over a square."""
    places = torch.rand(num, 2, generator=torch.Generator().manual_seed(0)) * 2.0 * spread - spread
    origins = torch.cat([torch.full((num, 1), 3.0), places], dim=1)
    near = torch.zeros(num)
    return Rays(origins, torch.tensor([[-1.0, 0.0, 0.0]]).expand(num, 3), near, torch.full_like(near, torch.inf))


@pytest.mark.parametrize("slope", [200.0, 1000.0, 4000.0])
def test_it_is_the_density_where_half_of_the_light_is_left(slope: float):
    # A ray at an angle with the cosine c loses half of it at the density sqrt(2 slope c ln 2), and another density lies
    # farther along it by 1 / (slope c): the best for all rays of a disc is that of c = 1/2.
    assert density_level(ball(slope), rays()) == pytest.approx(
        np.sqrt(slope * np.log(2.0)), rel=0.3
    )  # candidates lie 25 % apart


def test_parts_that_are_less_dense_are_not_lost():
    model = ball(50_000.0)
    inner = model.geometry.density
    assert density_level(model, rays()) > 50.0
    model.geometry.density = lambda points: torch.where(
        points[:, 1] < 0.2, inner(points), 40.0 * (points.norm(dim=-1) < RADIUS)
    )
    assert density_level(model, rays()) < 40.0


def test_nothing_is_seen_where_there_is_only_haze():
    model = ball(2000.0)
    inner = model.geometry.density
    model.geometry.density = lambda points: inner(points) + 0.1  # 4 % on the way through
    assert density_level(model, rays()) > 1.0


def test_the_mesh_at_that_level_is_the_sphere():
    model = ball(20_000.0)
    level = density_level(model, rays())
    mesh = extract_surface(model, 48, level, 2**16)
    assert np.linalg.norm(mesh.vertices, axis=1).mean() == pytest.approx(RADIUS, abs=0.01)


def test_a_number_is_taken_as_it_is():
    assert surface_level(ball(1.0), 7.5, None) == 7.5


def test_rays_that_keep_their_light_tell_of_no_surface():
    with pytest.raises(ReconstructionError, match="none of 400 rays"):
        density_level(ball(0.1), rays())
    model = ball(1000.0)
    model.occupancy.occupied.fill_(False)
    with pytest.raises(ReconstructionError, match="threshold=auto"):
        density_level(model, rays())
