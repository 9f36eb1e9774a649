"""Points along rays and joined columns, on every backend."""

import pytest
import torch
from torch.testing import assert_close

from models.ops import concat_columns, over_background, sample_points, sharpness
from utils.rays import Rays

COUNTS, CAPACITY = [3, 0, 17, 1, 40, 0], 70


def test_points_are_the_middles_of_their_intervals(backend, device, packed_from):
    packed = packed_from(COUNTS, CAPACITY)
    origins, directions = torch.randn(2, len(COUNTS), 3, device=device)
    near = torch.zeros(len(COUNTS), device=device)
    ends = [x.clone().requires_grad_() for x in (origins, directions)]
    points = sample_points(Rays(*ends, near, near + 9.0), packed, backend=backend)
    middles = 0.5 * (packed.t_starts + packed.t_ends)
    exact = [x.double().requires_grad_() for x in (origins, directions)]
    expected = exact[0][packed.ray_indices] + exact[1][packed.ray_indices] * middles.double()[:, None]
    assert_close(points.double(), expected, atol=1e-6, rtol=1e-6)
    upstream = torch.randn(CAPACITY, 3, device=device) * packed.valid[:, None]  # padding has no gradient
    found = torch.autograd.grad(points, ends, upstream)
    for a, b in zip(found, torch.autograd.grad(expected, exact, upstream.double()), strict=True):
        assert_close(a.double(), b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("with_rays", [True, False])
def test_joined_columns_and_their_gradients(backend, device, packed_from, with_rays):
    packed = packed_from(COUNTS, CAPACITY)
    wide = torch.randn(5, CAPACITY, device=device).t()[:, 1:].requires_grad_()  # strided both ways
    line, half = (
        torch.randn(CAPACITY, device=device, requires_grad=True),
        torch.randn(CAPACITY, 3, device=device).half(),
    )
    half.requires_grad_()
    per_ray = torch.randn(len(COUNTS), 6, device=device, requires_grad=True) if with_rays else None
    result = concat_columns((wide, line, half), per_ray, packed, backend=backend)
    expected = torch.cat([wide, line[:, None], half.float()], dim=-1)
    if with_rays:
        expected = torch.cat([expected, per_ray[packed.ray_indices]], dim=-1)
    assert torch.equal(result, expected)
    upstream = torch.randn_like(result) * packed.valid[:, None]
    inputs = (wide, line, half, per_ray)[: 4 if with_rays else 3]
    for a, b in zip(
        torch.autograd.grad(result, inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True
    ):
        assert_close(a, b)


def test_without_rays_the_last_part_has_a_row_for_each_sample(backend, device):
    a, b = torch.randn(9, 2, device=device), torch.randn(9, 3, device=device)
    assert torch.equal(concat_columns((a,), b, None, backend=backend), torch.cat([a, b], dim=-1))


@pytest.mark.parametrize("rows", [(), (300,)])
def test_colours_over_a_background(backend, device, rows):
    rgb, opacity, background = (torch.rand(shape, device=device) for shape in ((300, 3), (300,), (*rows, 3)))
    upstream = torch.randn(300, 3, device=device)
    exact, inputs = ([x.to(kind).requires_grad_() for x in (rgb, opacity)] for kind in (torch.float64, torch.float32))
    expected = exact[0] + (1.0 - exact[1])[:, None] * background.double()
    found = over_background(*inputs, background, backend=backend)
    assert_close(found.double(), expected, atol=1e-6, rtol=1e-6)
    grads = torch.autograd.grad(found, inputs, upstream)
    for a, b in zip(grads, torch.autograd.grad(expected, exact, upstream.double()), strict=True):
        assert_close(a.double(), b, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("raw", [-2.0, 0.3, 1.2, 2.0])
def test_the_sharpness_is_an_exponential_within_bounds(backend, device, raw):
    exact, value = (torch.tensor(raw, dtype=kind, device=device) for kind in (torch.float64, torch.float32))
    expected = (10.0 * exact.requires_grad_()).exp().clamp(1e-6, 1e6)
    found = sharpness(value.requires_grad_(), backend=backend)
    assert_close(found.double(), expected, atol=0.0, rtol=1e-5)
    assert_close(
        torch.autograd.grad(2.0 * found, value)[0].double(),
        torch.autograd.grad(2.0 * expected, exact)[0],
        atol=0.0,
        rtol=1e-5,
    )
