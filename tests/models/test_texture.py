"""Colours that see the reflected direction, or a share of it: the mirror law, what they may depend on, gradients."""

import math
from dataclasses import replace

import pytest
import torch
from small_models import SIZES, random_rays
from torch.nn import functional as F
from torch.testing import assert_close

from models.configs import (
    GatedRadianceConfig,
    NeuSConfig,
    ReflectedRadianceConfig,
    VarianceConfig,
    VolumeRadianceConfig,
    VolumeSDFConfig,
)
from models.network_configs import FullyFusedMLPConfig, HashGridConfig, SphericalHarmonicsConfig, VanillaMLPConfig
from models.neus import NeuS
from models.ops.reference.reflection import reflect
from models.texture import GatedRadiance, ReflectedRadiance, VolumeRadiance

PARTS = 7, SphericalHarmonicsConfig(3), FullyFusedMLPConfig(n_neurons=16), "sigmoid"
CONFIG, GATED = ReflectedRadianceConfig(*PARTS), GatedRadianceConfig(*PARTS)
KINDS = pytest.mark.parametrize(("kind", "config"), [(ReflectedRadiance, CONFIG), (GatedRadiance, GATED)])


def directions(num: int) -> torch.Tensor:
    return F.normalize(torch.randn(num, 3), dim=-1)


def around(axis: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """x (S, 3) turned by one radian around unit axes (S, 3)."""
    along = (axis * x).sum(-1, keepdim=True) * axis
    return along + math.cos(1.0) * (x - along) + math.sin(1.0) * torch.linalg.cross(axis, x)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_colours_depend_on_view_through_reflection_and_cosine_alone(backend: str, device: torch.device) -> None:
    """Of a normal that the network is blind to: views with equal reflection and cosine look the same."""
    radiance = ReflectedRadiance(CONFIG, 7, backend).to(device)
    with torch.no_grad():
        radiance.network.layers[0].weight[:, 4:7] = 0.0  # the normal
    feature, view, normal = torch.randn(20, 4, device=device), directions(20).to(device), directions(20).to(device)
    plain = radiance(view, None, feature, normal)
    assert plain.shape == (20, 3)
    reflected, _ = reflect(view, normal)
    turned = radiance(around(reflected, view), None, feature, around(reflected, normal))
    assert_close(turned, plain, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(radiance(around(normal, view), None, feature, normal), plain, atol=1e-3)


def with_share(last: float, num: int, device: torch.device) -> torch.Tensor:
    """Features (num, 4), of which the last decides the share of the mirror."""
    feature = torch.randn(num, 4, device=device)
    feature[:, 3] = last
    return feature


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_without_a_share_nothing_of_the_mirror_reaches_colour_or_normal(backend: str, device: torch.device) -> None:
    radiance = GatedRadiance(GATED, 7, backend).to(device)
    with torch.no_grad():
        radiance.network.layers[0].weight[:, 3:7] = 0.0  # normal and cosine
    view, feature = directions(20).to(device), with_share(-100.0, 20, device)
    one, other = (directions(20).to(device).requires_grad_() for _ in range(2))
    rgb = radiance(view, None, feature, one)
    assert_close(rgb, radiance(view, None, feature, other))
    assert (torch.autograd.grad(rgb.sum(), one)[0] == 0.0).all()
    assert not torch.allclose(rgb, radiance(directions(20).to(device), None, feature, one), atol=1e-3)


@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_with_all_of_it_colours_are_those_of_a_mirror(backend: str, device: torch.device) -> None:
    gated = GatedRadiance(GATED, 7, backend).to(device)
    mirror = ReflectedRadiance(replace(CONFIG, input_feature_dim=6), 6, backend).to(device)
    mirror.load_state_dict(gated.state_dict())
    view, normal, feature = directions(20).to(device), directions(20).to(device), with_share(100.0, 20, device)
    assert_close(gated(view, None, feature, normal), mirror(view, None, feature[:, :3], normal))


def test_the_share_at_the_start_is_that_of_the_config() -> None:
    view, normal, feature = directions(20), directions(20), with_share(0.0, 20, torch.device("cpu"))
    columns = []
    for share in (1e-9, 0.25, 1.0 - 1e-9):
        radiance = GatedRadiance(replace(GATED, reflected_at_start=share), 7, "reference")
        columns.append(radiance._network_inputs(view, None, (feature, normal)))
    assert_close(columns[1], torch.lerp(columns[0], columns[2], 0.25), atol=1e-5, rtol=1e-4)


def test_its_network_is_as_wide_as_that_of_volume_radiance() -> None:
    assert GatedRadiance(GATED, 7).network.dim_in == VolumeRadiance(VolumeRadianceConfig(*PARTS), 7).network.dim_in


def reflecting(texture: ReflectedRadianceConfig = CONFIG, lightings: int = 0, backend: str = "reference") -> NeuS:
    grid = HashGridConfig(n_levels=4, log2_hashmap_size=10, base_resolution=4, per_level_scale=1.6)
    geometry = VolumeSDFConfig(grid, VanillaMLPConfig(n_neurons=16), feature_dim=4)
    sizes = SIZES | {"variance": VarianceConfig(0.1), "lightings": lightings, "backend": backend}
    return NeuS(NeuSConfig(geometry, texture, **sizes))


@KINDS
def test_backends_agree_in_colours_and_in_gradients_through_the_reflection(
    kind: type[ReflectedRadiance], config: ReflectedRadianceConfig, device: torch.device
) -> None:
    given = torch.randn(20, 4, device=device), directions(20).to(device), directions(20).to(device)
    reference, fused = kind(config, 7, "reference").to(device), kind(config, 7, "triton").to(device)
    fused.load_state_dict(reference.state_dict())
    found = []
    for radiance in (reference, fused):
        feature, normal, view = leaves = [x.clone().requires_grad_() for x in given]
        rgb = radiance(view, None, feature, normal)
        found.append((rgb.detach(), *torch.autograd.grad(rgb.square().sum(), leaves)))
    close = {"atol": 2e-3, "rtol": 1e-2} if device.type == "cuda" else {"atol": 1e-4, "rtol": 1e-3}  # tf32 on a GPU
    for one, other in zip(*found, strict=True):
        assert_close(one, other, **close)


@KINDS
@pytest.mark.parametrize("lightings", [0, 2])
def test_a_neus_learns_its_textures_its_shares_and_its_cameras(
    kind: type[ReflectedRadiance], config: ReflectedRadianceConfig, lightings: int
) -> None:
    model = reflecting(config, lightings)
    assert isinstance(model.texture, kind)
    if lightings:
        model.set_lamp_axes(torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]))
    rays = random_rays(16, 0.5, torch.device("cpu"))
    rays = replace(rays, directions=rays.directions.requires_grad_(), lighting=torch.arange(16) % 2)
    model.render(rays, torch.ones(3), torch.Generator().manual_seed(0)).rgb.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.texture.parameters())
    assert model.geometry.network.layers[-1].weight.grad[-1].abs().sum() > 0  # of the last feature
    assert rays.directions.grad.abs().sum() > 0


@KINDS
def test_a_neus_colours_its_mesh_with_it_and_resumes(
    kind: type[ReflectedRadiance], config: ReflectedRadianceConfig
) -> None:
    model, resumed = reflecting(config), reflecting(config)
    with torch.no_grad():
        assert model.color(torch.rand(10, 3) - 0.5, directions(10)).shape == (10, 3)
        resumed.load_state_dict(model.state_dict())
        rays = random_rays(16, 0.5, torch.device("cpu"))
        assert_close(resumed.render(rays, torch.ones(3)).rgb, model.render(rays, torch.ones(3)).rgb)


@KINDS
def test_samples_of_a_ray_share_its_direction(kind: type[ReflectedRadiance], config: ReflectedRadianceConfig) -> None:
    model = reflecting(config)
    rays = random_rays(16, 0.5, torch.device("cpu"))
    packed = model.march(rays, None)
    feature, normal = torch.randn(len(packed.ray_indices), 4), directions(len(packed.ray_indices))
    with torch.no_grad():
        found = model.texture(rays.directions, packed, feature, normal)
        expected = model.texture(rays.directions[packed.ray_indices], None, feature, normal)
    assert len(found) > 16
    assert_close(found, expected)
