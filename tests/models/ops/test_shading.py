"""Opacity of samples: limits and sums, and the fused kernel against float64."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from models.ops import alpha_from_density, density_alpha, neus_alpha
from models.ops.reference.shading import alpha_from_sdf, annealed_cosine
from utils.rays import RaySamples

COUNTS, CAPACITY = [40, 0, 100, 7], 300  # a block in full use, one in part, one of padding only


def test_a_ray_through_a_sharp_surface_is_opaque_at_the_crossing_only() -> None:
    sdf = torch.linspace(0.5, -0.5, 102)
    dt = torch.full_like(sdf, 1.0 / 101)
    alpha = alpha_from_sdf(sdf, -torch.ones_like(sdf), dt, torch.tensor(2000.0))
    assert alpha[:50].max() < 1e-3
    assert alpha[50] > 0.9 or alpha[51] > 0.9


def test_leaving_the_surface_costs_nothing() -> None:
    sdf = torch.linspace(-0.5, 0.5, 50)
    alpha = alpha_from_sdf(sdf, torch.zeros_like(sdf), torch.full_like(sdf, 0.02), torch.tensor(50.0))
    assert alpha[sdf > 0].max() < 2e-5


def test_the_annealed_cosine_never_lets_opacity_fall() -> None:
    cosine = torch.linspace(-1.0, 1.0, 21)
    for anneal in (0.0, 0.5, 1.0):
        assert annealed_cosine(cosine, torch.tensor(anneal)).max() <= 0.0
    assert_close(annealed_cosine(cosine, torch.tensor(1.0)), cosine.clamp(max=0.0))


def test_density_composes_over_split_intervals() -> None:
    density, dt = torch.rand(20) * 5.0, torch.rand(20)
    half = alpha_from_density(density, 0.5 * dt)
    assert_close(alpha_from_density(density, dt), 1.0 - (1.0 - half).square())


def samples_of_a_surface(device, packed: RaySamples) -> tuple[list[torch.Tensor], torch.Tensor]:
    """([sdf, gradient, inv_s] in float32, directions), some gradients too short for a unit normal."""
    sdf = torch.where(torch.rand(CAPACITY, device=device) < 0.7, 0.05, 1.0) * torch.randn(CAPACITY, device=device)
    gradient = torch.randn(CAPACITY, 3, device=device)
    gradient[3] = 0.0
    gradient[[4, 130]] *= 1e-8
    directions = normalize(torch.randn(len(COUNTS), 3, device=device), dim=-1)
    return [sdf, gradient, torch.tensor(30.0, device=device)], directions


def exact(packed: RaySamples) -> RaySamples:
    return replace(packed, t_starts=packed.t_starts.double(), t_ends=packed.t_ends.double())


def run(inputs, directions, packed, anneal, used, upstream, backend):
    """Outputs of `neus_alpha` and the gradients through those of them that are used."""
    inputs = [x.detach().requires_grad_() for x in (*inputs, directions)]
    outputs = neus_alpha(inputs[0], inputs[1], inputs[3], packed, inputs[2], anneal, backend=backend)
    chosen, upstream = [outputs[k] for k in used], [upstream[k] for k in used]
    return outputs, torch.autograd.grad(chosen, inputs, upstream, materialize_grads=True)


@pytest.mark.parametrize("anneal", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("used", [(0, 1), (0,), (1,)])
def test_opacity_and_normal_match_float64(backend, device, packed_from, anneal, used):
    packed = packed_from(COUNTS, CAPACITY)
    inputs, directions = samples_of_a_surface(device, packed)
    upstream = [torch.randn(CAPACITY, *shape, device=device) for shape in ((), (3,))]
    upstream[1][~packed.valid] = 0.0  # only there may the backends differ
    share = torch.tensor(anneal, device=device)
    result = run(inputs, directions, packed, share, used, upstream, backend)
    inputs, upstream = [x.double() for x in inputs], [x.double() for x in upstream]
    expected = run(inputs, directions.double(), exact(packed), share.double(), used, upstream, "reference")
    assert_close(result[0][0].double(), expected[0][0], atol=1e-5, rtol=1e-4)
    assert_close(result[0][1][packed.valid].double(), expected[0][1][packed.valid], atol=1e-6, rtol=1e-5)
    for a, b, atol in zip(result[1], expected[1], (1e-4, 1e-4, 1e-6, 1e-4), strict=True):
        assert_close(a.double(), b, atol=atol, rtol=1e-4)


@pytest.mark.parametrize("backend", ["triton"], indirect=True)
def test_the_kernel_neither_reads_nor_fills_padding(backend, device, packed_from):
    packed = packed_from(COUNTS, CAPACITY)
    inputs, directions = samples_of_a_surface(device, packed)
    upstream = [torch.randn(CAPACITY, *shape, device=device) for shape in ((), (3,))]
    share = torch.tensor(0.5, device=device)
    clean = run(inputs, directions, packed, share, (0, 1), upstream, backend)
    for x in (*inputs[:2], *upstream):
        x[~packed.valid] = float("nan")
    outputs, grads = run(inputs, directions, packed, share, (0, 1), upstream, backend)
    for a, b in zip((*outputs, *grads), (*clean[0], *clean[1]), strict=True):
        assert torch.equal(a, b)
    for x in (*outputs, *grads[:2]):
        assert not x[~packed.valid].any()


def test_no_samples_have_no_opacity(backend, device, packed_from):
    packed = packed_from([0, 0], 0)
    inputs = [torch.zeros(shape, device=device, requires_grad=True) for shape in ((0,), (0, 3), ())]
    alpha, normal = neus_alpha(
        *inputs[:2],
        torch.ones(2, 3, device=device),
        packed,
        inputs[2],
        torch.tensor(1.0, device=device),
        backend=backend,
    )
    assert (alpha.shape, normal.shape) == ((0,), (0, 3))
    assert torch.autograd.grad(alpha.sum() + normal.sum(), inputs)[2] == 0


@pytest.mark.parametrize("backend", ["triton"], indirect=True)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_kernel_reads_columns_of_a_wider_output(backend, device, packed_from, dtype):
    packed = packed_from(COUNTS, CAPACITY)
    inputs, directions = samples_of_a_surface(device, packed)
    wide = torch.randn(CAPACITY, 9, device=device)
    wide[:, 4], wide[:, 1:7:2] = inputs[0], torch.randn(CAPACITY, 3, device=device)
    wide = wide.to(dtype).requires_grad_()
    upstream = [torch.randn(CAPACITY, *shape, device=device) for shape in ((), (3,))]
    outputs = []
    for sdf, gradient in ((wide[:, 4], wide[:, 1:7:2]), (wide[:, 4].float(), wide[:, 1:7:2].float())):
        result = neus_alpha(
            sdf, gradient, directions, packed, inputs[2], torch.tensor(1.0, device=device), backend=backend
        )
        assert result[0].dtype == result[1].dtype == torch.float32
        outputs.append((*result, *torch.autograd.grad(result, wide, upstream)))
    for a, b in zip(*outputs, strict=True):
        assert_close(a, b)


def densities(device) -> torch.Tensor:
    """Opacities from 1e-6 to 1, zero among them; intervals are 0.05 long or less."""
    density = 10.0 ** torch.linspace(-4.0, 4.0, CAPACITY, device=device)
    density[5] = 0.0
    return density[torch.randperm(CAPACITY, device=device)]


def test_opacity_of_a_density_matches_float64(backend, device, packed_from):
    packed = packed_from(COUNTS, CAPACITY)
    density, upstream = densities(device), torch.randn(CAPACITY, device=device)
    found = []
    for x, samples, name in ((density, packed, backend), (density.double(), exact(packed), "reference")):
        x = x.clone().requires_grad_()
        alpha = density_alpha(x, samples, backend=name)
        found.append((alpha, *torch.autograd.grad(alpha, x, upstream.to(x.dtype))))
    for a, b in zip(*found, strict=True):
        assert_close(a.double(), b, atol=1e-8, rtol=1e-4)
    assert not found[0][0][~packed.valid].any()
    assert found[0][0].dtype == torch.float32


def test_a_density_on_padding_is_not_read(backend, device, packed_from):
    packed = packed_from(COUNTS, CAPACITY)
    density = densities(device)
    clean = density_alpha(density, packed, backend=backend)
    density[~packed.valid] = float("nan")
    assert torch.equal(density_alpha(density, packed, backend=backend), clean)


def test_no_samples_of_a_density_have_no_opacity(backend, device, packed_from):
    density = torch.zeros(0, device=device, requires_grad=True)
    alpha = density_alpha(density, packed_from([0, 0], 0), backend=backend)
    assert alpha.shape == torch.autograd.grad(alpha.sum(), density)[0].shape == (0,)
