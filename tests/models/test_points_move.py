"""Gradients of fields in the points, by which cameras are corrected: against plain autograd in float64."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from models.configs import VolumeDensityConfig, VolumeSDFConfig
from models.geometry import VolumeDensity, VolumeSDF
from models.network_configs import FrequencyConfig, HashGridConfig, VanillaMLPConfig
from models.ops.reference import hash as reference_hash

GRID = HashGridConfig(n_levels=4, log2_hashmap_size=10, base_resolution=4, per_level_scale=1.6, include_xyz=True)
BARE = HashGridConfig(n_levels=4, log2_hashmap_size=10, base_resolution=4, per_level_scale=1.6, include_xyz=False)
RADIUS = 1.5


def points(dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return (2.0 * torch.rand(40, 3, generator=generator, dtype=torch.float64) - 1.0).to(dtype).requires_grad_()


def filled(field: VolumeSDF | VolumeDensity) -> VolumeSDF | VolumeDensity:
    """The field in float64, with features of a size that matters."""
    field = field.double()
    with torch.no_grad():
        if hasattr(field.encoding, "table"):
            field.encoding.table.copy_(torch.randn_like(field.encoding.table) * 0.1)
    return field


def through_grid(field: VolumeSDF | VolumeDensity, where: Tensor) -> Tensor:
    """The outputs of the network, differentiable in the points by plain autograd alone."""
    unit, encoding = field.unit_cube(where), field.encoding
    if isinstance(encoding, torch.nn.Module) and hasattr(encoding, "spec"):
        features = reference_hash.hash_features(unit, encoding.table, encoding.spec, None)
    else:
        features = encoding.features(unit)
    return field.network(torch.cat([2.0 * unit - 1.0, features], dim=-1) if encoding.include_xyz else features)


def gradient_of(outputs: tuple[Tensor, ...], where: Tensor, seed: int = 7) -> Tensor:
    """That of the points, for random gradients of the outputs."""
    generator = torch.Generator().manual_seed(seed)
    upstream = [torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out.dtype) for out in outputs]
    return torch.autograd.grad(outputs, where, upstream, materialize_grads=True)[0]


@pytest.mark.parametrize("encoding", [GRID, BARE, FrequencyConfig(n_frequencies=3)], ids=["grid", "bare", "octaves"])
def test_distance_and_feature_follow_the_points(encoding):
    torch.manual_seed(0)
    network = VanillaMLPConfig(sphere_init=encoding.include_xyz, n_neurons=16)
    field = filled(VolumeSDF(VolumeSDFConfig(encoding, network, radius=RADIUS, feature_dim=5)))
    where = points()
    sdf, _, feature, _ = field(where)
    out = through_grid(field, where)
    assert_close(feature, out)
    expected = gradient_of((out[:, 0] * RADIUS, out), where)
    assert_close(gradient_of((sdf, feature), where), expected, rtol=1e-5, atol=1e-5)  # the distance has 32 bits


def test_the_length_of_the_gradient_moves_no_point_by_the_grid():
    """ReLU has no second derivative, and that of the grid is left out."""
    torch.manual_seed(0)
    field = filled(VolumeSDF(VolumeSDFConfig(GRID, VanillaMLPConfig(n_neurons=16), radius=RADIUS, feature_dim=5)))
    where = points()
    _, gradient, _, _ = field(where)
    assert not gradient_of((gradient,), where).any()


@pytest.mark.parametrize("encoding", [GRID, BARE], ids=["grid", "bare"])
def test_a_density_follows_the_points(encoding):
    torch.manual_seed(0)
    field = filled(VolumeDensity(VolumeDensityConfig(encoding, VanillaMLPConfig(n_neurons=16), radius=RADIUS)))
    where = points()
    density, feature = field(where)
    still, same = field(where.detach())
    assert torch.equal(density, still)
    assert torch.equal(feature, same)
    out = through_grid(field, where)
    raw = out[:, 0] + field.config.density_bias
    assert_close(gradient_of((density, feature), where), gradient_of((raw.exp(), out), where), rtol=1e-5, atol=1e-5)


def test_finite_differences_follow_the_points_as_far_as_they_reach():
    torch.manual_seed(0)
    config = VolumeSDFConfig(
        FrequencyConfig(n_frequencies=2),
        VanillaMLPConfig(sphere_init=True, n_neurons=16),
        radius=RADIUS,
        feature_dim=5,
        grad_type="finite_difference",
        finite_difference_eps=1e-4,
    )
    field, where = filled(VolumeSDF(config)), points()
    sdf, _, feature, _ = field(where)
    out = through_grid(field, where)
    assert_close(
        gradient_of((sdf, feature), where), gradient_of((out[:, 0] * RADIUS, out), where), rtol=1e-2, atol=1e-2
    )
