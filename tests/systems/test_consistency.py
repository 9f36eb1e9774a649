"""Photographs of textured shapes agree where their surface lies, and nowhere else."""

from dataclasses import replace

import pytest
import torch
from textured_shapes import CONFIG, SHAPES, batch_of, loss, plane, rendered
from torch import Tensor
from torch.testing import assert_close

from models.base import SampleValues
from systems.consistency import first_crossings, ncc
from utils.rays import RaySamples


@pytest.mark.parametrize("name", SHAPES)
def test_views_agree_at_the_surface_and_ever_less_away_from_it(name: str) -> None:
    shape = SHAPES[name]()
    batch = batch_of(shape)
    found = [float(loss(shape, batch, shape.truth + offset)) for offset in (0.0, 0.01, 0.03, -0.01, -0.03)]
    assert found[0] < 0.02
    assert 2.0 * found[0] < found[1] < found[2]
    assert 2.0 * found[0] < found[3] < found[4]


@pytest.mark.parametrize("name", SHAPES)
def test_the_gradient_is_that_of_finite_differences(name: str) -> None:
    shape = SHAPES[name]()
    batch = batch_of(shape)
    parameter = torch.tensor(shape.truth + 0.0123, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(shape, batch, parameter), parameter)
    step = 1e-7
    with torch.no_grad():
        numeric = (loss(shape, batch, parameter + step) - loss(shape, batch, parameter - step)) / (2.0 * step)
    assert_close(slope, numeric, rtol=5e-3, atol=1e-4)  # how deep a patch lies counts as given


@pytest.mark.parametrize("name", SHAPES)
def test_descent_finds_the_surface(name: str) -> None:
    shape = SHAPES[name]()
    batch = batch_of(shape)
    parameter = torch.tensor(shape.truth - 0.02, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([parameter], lr=2e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss(shape, batch, parameter).backward()
        optimizer.step()
    assert float(parameter.detach()) == pytest.approx(shape.truth, abs=0.005)


def test_a_normal_is_turned_towards_that_of_the_surface() -> None:
    shape = plane()
    batch = batch_of(shape)

    def tilted(points: Tensor, slope: Tensor) -> tuple[Tensor, Tensor]:
        return points[:, 2] - shape.truth, torch.stack([slope, slope * 0.0, slope * 0.0 + 1.0]).expand_as(points)

    slope = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    value = ncc(rendered(replace(shape, field=tilted), batch, slope), batch, CONFIG)
    value.backward()
    assert float(value.detach()) > 5.0 * float(loss(shape, batch, shape.truth))
    assert float(slope.grad) > 0.0
    for sign in (-1.0, 1.0):
        found = [
            ncc(rendered(replace(shape, field=tilted), batch, sign * s), batch, CONFIG) for s in (slope, 0.5 * slope)
        ]
        assert found[0] > found[1] > 2.0 * loss(shape, batch, shape.truth)


def test_gradients_reach_the_cameras() -> None:
    shape = plane()
    batch = batch_of(shape, per_image=4)
    c2w = batch.sources.photographs.c2w.double().requires_grad_()
    moved = replace(batch.sources, photographs=replace(batch.sources.photographs, c2w=c2w))
    loss(shape, replace(batch, sources=moved), shape.truth + 0.01).backward()
    assert c2w.grad.isfinite().all()
    assert float(c2w.grad.abs().amax((1, 2)).min()) > 0.0


def test_crossings_are_the_first_of_rays_and_lie_between_adjoining_samples() -> None:
    index = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 0])
    starts = torch.tensor([1.0, 2, 3, 4, 1, 2, 1, 5, 1, 2, 0])
    packed = RaySamples(
        index, starts, starts + (starts > 0), torch.tensor([0, 4, 6, 8]), torch.tensor([4, 2, 2, 2]),
        torch.ones(4, dtype=torch.bool), torch.tensor(10),
    )  # fmt: skip
    sdf = torch.tensor([3.0, -1.0, 1.0, -1.0, -1.0, 2.0, 1.0, -1.0, 1.0, -3.0, -9.0])
    gradient, points = torch.tensor([0.0, 0.0, 2.0]).expand(11, 3), packed.t_mids[:, None] * torch.ones(3)
    found = first_crossings(SampleValues(packed, points, sdf, sdf, gradient), 3)
    assert found.usable.tolist() == [True, True, False]  # ray 1 comes from within, ray 2 has a gap
    assert found.entry[:2].tolist() == [0, 3]
    assert_close(found.points[:2], torch.tensor([[2.25], [1.75]]).expand(2, 3))
    assert_close(found.normal[:2], torch.tensor([[0.0, 0.0, 2.0]]).expand(2, 3))
