"""Finite differences: against autograd in float64, at the faces of the region, and with levels that open."""

from dataclasses import replace

import pytest
import torch
from small_models import Spy, random_rays
from torch import Tensor
from torch.testing import assert_close

from models.configs import NeuSConfig, VolumeRadianceConfig, VolumeSDFConfig
from models.differences import central_differences, tap_points
from models.geometry import VolumeSDF
from models.network_configs import (
    FrequencyConfig,
    FullyFusedMLPConfig,
    HashGridConfig,
    ProgressiveBandHashGridConfig,
    SphericalHarmonicsConfig,
    VanillaMLPConfig,
)
from models.neus import NeuS
from utils.errors import ConfigError

LEVELS = {"n_levels": 4, "log2_hashmap_size": 10, "base_resolution": 4, "per_level_scale": 1.6, "include_xyz": True}
GRID = HashGridConfig(**LEVELS)
PROGRESSIVE = ProgressiveBandHashGridConfig(**LEVELS, start_level=1, start_step=5, update_steps=10)
SPHERE = VanillaMLPConfig(sphere_init=True, weight_norm=True, n_neurons=16)
BACKENDS = ["reference", "numba", "triton"]


def differences(encoding: HashGridConfig | FrequencyConfig, network: object, eps: float | str) -> VolumeSDFConfig:
    return VolumeSDFConfig(
        encoding, network, radius=1.5, feature_dim=4, grad_type="finite_difference", finite_difference_eps=eps
    )


def double_points(num: int, spread: float) -> Tensor:
    return (torch.rand(num, 3, dtype=torch.float64) - 0.5) * 2.0 * spread


def wave(points: Tensor) -> Tensor:
    x, y, z = points.unbind(-1)
    return torch.sin(3.0 * x) * torch.cos(2.0 * y) + (z * x).exp()


def test_errors_of_a_smooth_field_fall_with_the_square_of_the_step() -> None:
    points = (0.5 + 0.3 * double_points(100, 1.0)).requires_grad_()
    (gradient,) = torch.autograd.grad(wave(points).sum(), points, create_graph=True)
    slopes = [torch.autograd.grad(gradient[:, axis].sum(), points, retain_graph=True)[0][:, axis] for axis in range(3)]
    errors = []
    for eps in (0.02, 0.01):
        taps = tap_points(points, eps)
        found, laplacian = central_differences(wave(taps), taps, eps)
        errors.append(torch.stack([(found - gradient).abs().max(), (laplacian - sum(slopes)).abs().max()]))
    assert errors[0].max() < 0.02
    assert_close(errors[0] / errors[1], torch.full((2,), 4.0, dtype=torch.float64), rtol=0.05, atol=0.0)


@pytest.mark.parametrize("distance", [0.1, 0.3])
def test_the_laplacian_of_a_sphere_is_two_over_its_radius(distance: float) -> None:
    points = 0.5 + distance * torch.nn.functional.normalize(double_points(50, 1.0), dim=-1)
    taps = tap_points(points, 1e-4)
    gradient, laplacian = central_differences((taps - 0.5).norm(dim=-1) - 0.2, taps, 1e-4)
    assert_close(gradient, (points - 0.5) / distance, atol=1e-6, rtol=0.0)
    assert_close(laplacian, torch.full_like(laplacian, 2.0 / distance), rtol=1e-5, atol=0.0)


def test_taps_stay_in_the_cube_and_differences_are_those_of_what_is_left() -> None:
    eps, points = 0.1, torch.tensor([[0.0, 1.0, 0.5], [0.03, 0.96, 0.08], [0.3, 0.4, 0.5]], dtype=torch.float64)
    taps = tap_points(points, eps)
    assert (taps >= 0.0).all()
    assert (taps <= 1.0).all()
    assert_close(taps[:, 0], points)
    slope = torch.tensor([2.0, -3.0, 0.5], dtype=torch.float64)
    values = (taps @ slope).requires_grad_()
    gradient, laplacian = central_differences(values, taps, eps)
    assert_close(gradient, slope.expand(3, 3))
    assert_close(laplacian, torch.zeros_like(laplacian))
    (through,) = torch.autograd.grad(gradient.sum() + laplacian.abs().sum(), values)
    assert through.isfinite().all()
    bent = central_differences(taps.square().sum(-1), taps, eps)[1]  # 2 for each axis that has room
    assert_close(bent, torch.tensor([2.0, 2.0, 6.0], dtype=torch.float64))


@pytest.mark.parametrize("network", [VanillaMLPConfig(activation="Softplus"), SPHERE])
def test_small_steps_give_the_analytic_gradient(network: VanillaMLPConfig) -> None:
    config = differences(FrequencyConfig(n_frequencies=2), network, 1e-5)
    geometry = VolumeSDF(config, "reference").double()
    analytic = VolumeSDF(replace(config, grad_type="analytic"), "reference").double()
    analytic.load_state_dict(geometry.state_dict())
    points = double_points(50, 1.4)
    sdf, gradient, feature, _ = geometry(points)
    for a, b in zip((sdf, gradient, feature), analytic(points)[:3], strict=True):
        assert_close(a, b, check_dtype=False, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("network", [SPHERE, FullyFusedMLPConfig(n_neurons=16, n_hidden_layers=2)])
def test_values_and_gradients_match_a_twin_in_float64(network: object, backend: str, device: torch.device) -> None:
    if backend == "numba" and device.type != "cpu":
        pytest.skip("Numba computes on a CPU")
    geometry = VolumeSDF(differences(GRID, network, 0.05), backend).to(device)
    torch.nn.init.normal_(geometry.encoding.table, std=0.3)
    twin = VolumeSDF(geometry.config, "reference").to(device).double()
    twin.load_state_dict(geometry.state_dict())
    points = double_points(40, 1.5).to(device)
    count = torch.tensor(33, device=device)
    outputs = [tensor[:33] for tensor in geometry(points.float(), count)]
    expected = [tensor[:33] for tensor in twin(points.float().double())]
    cotangents = [torch.randn_like(tensor) for tensor in expected]
    cotangents[3] *= 1e-3  # the second difference divides by eps^2, rounding errors too
    for a, b, share in zip(outputs, expected, (1e-5, 1e-4, 1e-5, 1e-3), strict=True):
        assert_close(a.double(), b, rtol=0.0, atol=share * b.abs().max().item())
    grads = [
        torch.autograd.grad(out, list(module.parameters()), [c.to(out[0].dtype) for c in cotangents])
        for out, module in ((outputs, geometry), (expected, twin))
    ]
    for a, b in zip(*grads, strict=True):
        share = 1e-2 if a.is_cuda else 1e-3  # backward, a GPU multiplies numbers of 10 bits
        assert_close(a.double(), b, rtol=0.0, atol=share * b.abs().max().item())


def test_differences_are_not_taken_of_rounded_numbers(device: torch.device) -> None:
    """Neither 16 bits nor TF32 touch the SDF: a step of 1e-3 would drown in them."""
    geometry = VolumeSDF(differences(GRID, FullyFusedMLPConfig(n_hidden_layers=2), 1e-3)).to(device)
    points = double_points(200, 1.4).float().to(device)
    expected = VolumeSDF(geometry.config, "reference").to(device).double()
    expected.load_state_dict(geometry.state_dict())
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with torch.autocast(device.type, torch.float16 if device.type == "cuda" else torch.bfloat16):
            sdf, gradient, *_ = geometry(points)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(precision)
    assert sdf.dtype == gradient.dtype == torch.float32
    error = gradient - expected(points.double())[1]
    assert error.square().mean().sqrt() < 2e-3 * gradient.norm(dim=-1).mean()


def test_a_progressive_step_is_a_cell_of_the_finest_open_level() -> None:
    geometry = VolumeSDF(differences(PROGRESSIVE, SPHERE, "progressive"))
    for step, opened in ((0, 1), (14, 1), (15, 2), (25, 3), (1000, 4)):
        geometry.on_step(step)
        assert geometry.encoding.active_levels == opened
        assert geometry.eps == pytest.approx(2.0 * 1.5 / (4 * 1.6 ** (opened - 1) - 1.0))
    geometry.on_step(0)
    assert geometry.eps == pytest.approx(1.0)
    assert VolumeSDF(differences(GRID, SPHERE, 0.01)).eps == 0.01


def neus(geometry: VolumeSDFConfig) -> NeuS:
    texture = VolumeRadianceConfig(7, SphericalHarmonicsConfig(2), FullyFusedMLPConfig(), "sigmoid")
    return NeuS(NeuSConfig(geometry, texture, radius=1.5, num_samples_per_ray=64, train_num_rays=8, grid_resolution=8))


def test_a_graph_key_stands_for_one_step_size() -> None:
    """The step is a constant of a recorded graph: it must not change while the key does not."""
    model, sizes = neus(differences(PROGRESSIVE, SPHERE, "progressive")), {}
    for step in range(60):
        model.on_step(step)
        assert sizes.setdefault(model.graph_key, model.geometry.eps) == model.geometry.eps
    assert len(sizes) == 4


def test_the_curvature_of_a_neus_is_the_laplacian_and_asks_the_field_once() -> None:
    rays, background, needs = random_rays(8, 0.5, torch.device("cpu")), torch.ones(3), frozenset({"curvature"})
    for config, queries in ((differences(GRID, SPHERE, 0.05), 1), (VolumeSDFConfig(GRID, SPHERE, 1.5, 4), 2)):
        model = neus(config)
        spy = Spy(model)
        out = model.render(rays, background, torch.Generator().manual_seed(0), needs)
        assert len(spy.sizes) == queries
        assert (out.samples.curvature >= -1e-6).all()
        assert out.samples.curvature.isfinite().all()
        if queries == 1:
            assert_close(out.samples.curvature, model.geometry(out.samples.points)[3].abs())
        assert model.render(rays, background, torch.Generator().manual_seed(0)).samples.curvature is None


def test_points_beyond_the_cube_are_finite_and_leave_no_trace_in_the_gradients() -> None:
    """Padding lies at the origin of the first ray, outside of the cube, where all taps fall on one point of a face."""
    field = VolumeSDF(differences(GRID, SPHERE, 1e-3))
    inside, outside = 0.9 * (torch.rand(20, 3) * 3.0 - 1.5), 4.0 + torch.rand(5, 3)
    sdf, gradient, feature, laplacian = field(torch.cat([inside, outside]))
    for found in (sdf, gradient, feature, laplacian):
        assert torch.isfinite(found).all()
    assert not gradient[20:].any()
    used = torch.arange(25) < 20
    torch.where(used, (gradient.norm(dim=-1) - 1.0).square(), 0.0).sum().backward()
    with_padding = [parameter.grad.clone() for parameter in field.parameters()]
    field.zero_grad()
    (field(inside)[1].norm(dim=-1) - 1.0).square().sum().backward()
    for a, parameter in zip(with_padding, field.parameters(), strict=True):
        assert_close(a, parameter.grad, atol=1e-5, rtol=1e-4)


def test_the_step_is_jittered_by_one_factor_per_training_step() -> None:
    config = replace(differences(GRID, SPHERE, 0.02), finite_difference_jitter=0.5)
    field, points = VolumeSDF(config), double_points(10, 1.0).float()
    places: list[Tensor] = []
    field.encoding.register_forward_pre_hook(lambda module, inputs: places.append(inputs[0]))
    factors = []
    for seed in range(200):
        field(points, None, torch.Generator().manual_seed(seed))
        steps = (places[-1].unflatten(0, (-1, 7))[:, 1:] - field.unit_cube(points)[:, None]).norm(dim=-1) * 3.0
        assert_close(steps, steps.mean().expand_as(steps), rtol=1e-3, atol=0.0)  # of all samples and taps
        factors.append(steps.mean().item() / 0.02)
    factors = torch.tensor(factors)
    assert factors.min() >= 0.5 - 1e-3
    assert factors.max() <= 1.5 + 1e-3
    assert factors.mean().item() == pytest.approx(1.0, abs=0.08)
    assert factors.std().item() == pytest.approx(1.0 / 12.0**0.5, abs=0.04)  # of a uniform factor
    again = field(points, None, torch.Generator().manual_seed(3))
    for a, b in zip(again, field(points, None, torch.Generator().manual_seed(3)), strict=True):
        assert torch.equal(a, b)


def test_only_training_is_jittered_and_only_where_it_is_asked() -> None:
    plain, points = VolumeSDF(differences(GRID, SPHERE, 0.02)), double_points(10, 1.0).float()
    jittered = VolumeSDF(replace(plain.config, finite_difference_jitter=0.5))
    jittered.load_state_dict(plain.state_dict())
    generator = torch.Generator().manual_seed(0)
    before, expected = generator.get_state(), plain(points)
    for found in (plain(points, None, generator), jittered(points)):
        for a, b in zip(found, expected, strict=True):
            assert torch.equal(a, b)
    assert torch.equal(generator.get_state(), before)


def test_a_jittered_laplacian_is_that_of_its_own_step() -> None:
    """Taps that are nearer or farther are divided by their own distances: the curvature of a sphere stays 2 / r."""
    field = VolumeSDF(replace(differences(GRID, SPHERE, 0.05), finite_difference_jitter=0.9)).double()
    field.network.forward = lambda x, count, full_fp32: (x[:, :3] * 1.5).norm(dim=-1, keepdim=True) / 1.5
    points = torch.nn.functional.normalize(double_points(50, 1.0), dim=-1)
    for seed in range(5):
        sdf, gradient, _, laplacian = field(points, None, torch.Generator().manual_seed(seed))
        assert_close(sdf, torch.ones_like(sdf), rtol=1e-5, atol=0.0)
        assert_close(gradient, points, rtol=0.0, atol=5e-3)
        assert_close(laplacian, torch.full_like(laplacian, 2.0), rtol=0.02, atol=0.0)


def test_a_jitter_without_differences_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.geometry\.finite_difference_jitter: needs .*finite_difference"):
        replace(differences(GRID, SPHERE, 0.02), finite_difference_jitter=0.5, grad_type="analytic")
