"""Colours that see the reflected direction: the mirror law, what they may depend on, gradients, and where they fit."""

import math

import pytest
import torch
from small_models import SIZES, random_rays
from torch.nn import functional as F
from torch.testing import assert_close

from models.configs import NeuSConfig, ReflectedRadianceConfig, VarianceConfig, VolumeSDFConfig
from models.network_configs import FullyFusedMLPConfig, HashGridConfig, SphericalHarmonicsConfig, VanillaMLPConfig
from models.neus import NeuS
from models.ops.reference.reflection import reflect
from models.texture import ReflectedRadiance

CONFIG = ReflectedRadianceConfig(7, SphericalHarmonicsConfig(3), FullyFusedMLPConfig(n_neurons=16), "sigmoid")


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


def reflecting() -> NeuS:
    grid = HashGridConfig(n_levels=4, log2_hashmap_size=10, base_resolution=4, per_level_scale=1.6)
    geometry = VolumeSDFConfig(grid, VanillaMLPConfig(n_neurons=16), feature_dim=4)
    return NeuS(NeuSConfig(geometry, CONFIG, variance=VarianceConfig(0.1), backend="reference", **SIZES))


def test_backends_agree_in_colours_and_in_gradients_through_the_reflection(device: torch.device) -> None:
    feature, view, normal = torch.randn(20, 4, device=device), directions(20).to(device), directions(20).to(device)
    reference = ReflectedRadiance(CONFIG, 7, "reference").to(device)
    fused = ReflectedRadiance(CONFIG, 7, "triton").to(device)
    fused.load_state_dict(reference.state_dict())
    found = []
    for radiance in (reference, fused):
        leaf = normal.clone().requires_grad_()
        rgb = radiance(view, None, feature, leaf)
        (gradient,) = torch.autograd.grad(rgb.square().sum(), leaf)
        found.append((rgb.detach(), gradient))
    assert_close(found[0], found[1], atol=1e-4, rtol=1e-3)


def test_the_gradient_by_the_normal_is_that_of_differences() -> None:
    radiance = ReflectedRadiance(CONFIG, 7, "reference").double()
    feature, view = torch.randn(5, 4, dtype=torch.float64), directions(5).double()
    normal = directions(5).double().requires_grad_()
    encoded = radiance._network_inputs(view, None, (feature, normal))
    weight = torch.randn_like(encoded)
    (gradient,) = torch.autograd.grad((encoded * weight).sum(), normal)
    step = 1e-3 * torch.eye(3, dtype=torch.float64)
    for axis in range(3):
        above, below = (radiance._network_inputs(view, None, (feature, normal + s * step[axis])) for s in (1, -1))
        expected = ((above - below).double() * weight).sum(-1) / 2e-3
        assert_close(gradient[:, axis], expected.detach(), atol=1e-2, rtol=1e-2)


def test_a_neus_renders_learns_and_colours_its_mesh_with_it() -> None:
    model = reflecting()
    rays = random_rays(16, 0.5, torch.device("cpu"))
    out = model.render(rays, torch.ones(3), torch.Generator().manual_seed(0))
    out.rgb.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.texture.parameters())
    points = torch.rand(10, 3) - 0.5
    with torch.no_grad():
        colors = model.color(points, directions(10))
    assert colors.shape == (10, 3)
    resumed = reflecting()
    resumed.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert_close(resumed.render(rays, torch.ones(3)).rgb, model.render(rays, torch.ones(3)).rgb)


def test_samples_of_a_ray_share_its_direction() -> None:
    model = reflecting()
    rays = random_rays(16, 0.5, torch.device("cpu"))
    packed = model.march(rays, None)
    feature, normal = torch.randn(len(packed.ray_indices), 4), directions(len(packed.ray_indices))
    with torch.no_grad():
        found = model.texture(rays.directions, packed, feature, normal)
        expected = model.texture(rays.directions[packed.ray_indices], None, feature, normal)
    assert len(found) > 16
    assert_close(found, expected)
