"""Opacity of samples: limits and sums."""

import torch
from torch.testing import assert_close

from models.ops import alpha_from_density
from models.ops.reference_shading import alpha_from_sdf, annealed_cosine


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
