"""Networks and SDF geometry: gradients against autograd in float64, the sphere that an SDF starts as."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from models.configs import VolumeSDFConfig
from models.geometry import VolumeSDF
from models.mlp import MLP
from models.network_configs import (
    FrequencyConfig,
    HashGridConfig,
    ProgressiveBandHashGridConfig,
    VanillaMLPConfig,
)

GRID = HashGridConfig(n_levels=4, log2_hashmap_size=10, base_resolution=4, per_level_scale=1.6, include_xyz=True)
SPHERE = VanillaMLPConfig(sphere_init=True, weight_norm=True)


@pytest.mark.parametrize("hidden", [0, 1, 3])
@pytest.mark.parametrize("with_position", [True, False])
@pytest.mark.parametrize("config", [VanillaMLPConfig(), VanillaMLPConfig(activation="Softplus"), SPHERE])
def test_input_gradient_and_its_backward_match_autograd(
    config: VanillaMLPConfig, hidden: int, with_position: bool
) -> None:
    """The features are a linear map of the points, so that autograd can differentiate the whole."""
    network = MLP(replace(config, n_hidden_layers=hidden, n_neurons=16), 8 if with_position else 5, 3).double()
    points = torch.rand(20, 3, dtype=torch.float64, requires_grad=True)
    slope = torch.randn(5, 3, dtype=torch.float64)
    features = points @ slope.T
    x = torch.cat([points * 2.0 - 1.0, features], dim=-1) if with_position else features
    _, value, gradient = network.sdf(points.detach(), features.detach(), slope.expand(20, 5, 3))
    (expected,) = torch.autograd.grad(network(x)[:, 0].sum(), points, create_graph=True)
    assert_close(value, network(x))
    assert_close(gradient, expected)
    parameters = list(network.layers[0].parameters())
    ours, theirs = (
        torch.autograd.grad((g.norm(dim=-1) - 1.0).square().mean(), parameters, allow_unused=True)
        for g in (gradient, expected)
    )
    for parameter, a, b in zip(parameters, ours, theirs, strict=True):
        zero = torch.zeros_like(parameter)  # a bias of ReLUs does not move the gradient
        assert_close(zero if a is None else a, zero if b is None else b)


@pytest.mark.parametrize("encoding", [GRID, FrequencyConfig(n_frequencies=3)], ids=["hash", "frequency"])
def test_sdf_gradient_matches_finite_differences(encoding: HashGridConfig | FrequencyConfig) -> None:
    config = VolumeSDFConfig(encoding, VanillaMLPConfig(activation="Softplus"), radius=1.5)
    geometry = VolumeSDF(config, "reference").double()
    if encoding is GRID:
        torch.nn.init.normal_(geometry.encoding.table, std=0.3)
    points = (torch.rand(50, 3, dtype=torch.float64) - 0.5) * 2.0
    sdf, gradient, feature, laplacian = geometry(points)
    assert laplacian is None
    assert_close(sdf, geometry.sdf(points))
    assert feature.shape == (50, 13)
    step = 1e-5
    for axis in range(3):
        shift = step * torch.eye(3, dtype=torch.float64)[axis]
        slope = (feature_sdf(geometry, points + shift) - feature_sdf(geometry, points - shift)) / (2.0 * step)
        assert_close(gradient[:, axis], slope, atol=1e-4, rtol=1e-3)


def feature_sdf(geometry: VolumeSDF, points: Tensor) -> Tensor:
    """The SDF in float64 throughout (the model itself returns float32)."""
    return geometry.network(geometry.encoding(geometry.unit_cube(points)))[:, 0] * geometry.radius


def test_an_sdf_starts_as_a_sphere_whatever_the_hash_table_holds() -> None:
    geometry = VolumeSDF(VolumeSDFConfig(GRID, SPHERE, radius=2.0))
    torch.nn.init.normal_(geometry.encoding.table)
    points = torch.nn.functional.normalize(torch.randn(500, 3), dim=-1)
    for distance in (0.5, 1.0, 1.5):
        assert geometry.sdf(points * distance).mean().item() == pytest.approx(distance - 0.5 * 2.0, abs=0.2)


def test_progressive_levels_open_with_the_steps() -> None:
    config = VolumeSDFConfig(
        ProgressiveBandHashGridConfig(**{**vars(GRID), "start_level": 1, "update_steps": 10}), VanillaMLPConfig()
    )
    encoding = VolumeSDF(config).encoding
    torch.nn.init.normal_(encoding.table)
    for step, opened in ((0, 1), (9, 1), (10, 2), (1000, 4)):
        encoding.on_step(step)
        features = encoding.features(torch.rand(100, 3))
        assert (features.abs().sum(0) > 0).sum() == 2 * opened
