"""Colours as photographs of different exposure show them."""

import pytest
import torch
from torch.testing import assert_close

from models.base import RenderOutput
from models.exposure import Exposure
from utils.rays import RayBatch, Rays

WHITE = torch.ones(3)


def example(mask: torch.Tensor | None) -> tuple[Exposure, RenderOutput, RayBatch]:
    exposure = Exposure(2)
    with torch.no_grad():
        exposure.affine.copy_(torch.randn(exposure.affine.shape))
    rgb, opacity = torch.rand(4, 3), torch.tensor([0.0, 0.3, 1.0, 1.0])
    out = RenderOutput(rgb, opacity, opacity, None, opacity > -1, None)
    rays = Rays(torch.zeros(4, 3), torch.zeros(4, 3), torch.zeros(4), torch.ones(4))
    return exposure, out, RayBatch(rays, rgb, mask, WHITE, torch.tensor([0, 1, 0, 1]))


def test_it_starts_as_the_identity_and_stays_it_on_average() -> None:
    exposure, out, batch = example(None)
    assert_close(Exposure(2)(out, batch), out.rgb)
    centred = exposure.affine - exposure.affine.mean(dim=0)
    assert_close(centred.sum(dim=0), torch.zeros(2, 3))
    expected = [rgb * centred[i, 0].exp() + centred[i, 1] for rgb, i in zip(out.rgb, batch.image, strict=True)]
    assert_close(exposure(out, batch), torch.stack(expected))


def test_a_background_that_was_painted_in_is_not_exposed() -> None:
    exposure, out, batch = example(torch.ones(4))
    empty = torch.zeros(4, 3) + (1.0 - out.opacity)[:, None] * WHITE  # a black object before white
    found = exposure(RenderOutput(empty, out.opacity, out.depth, None, out.within_budget, None), batch)
    assert_close(found[0], WHITE)
    gain, offset = (exposure.affine - exposure.affine.mean(dim=0))[0]
    assert_close(exposure(out, batch)[2], out.rgb[2] * gain.exp() + offset)


@pytest.mark.parametrize("mask", [None, torch.ones(4)])
def test_each_photograph_learns_its_own(mask) -> None:
    exposure, out, batch = example(mask)
    (exposure(out, batch)[2:] * torch.tensor([[1.0], [2.0]])).sum().backward()
    assert (exposure.affine.grad.abs().sum(dim=-1) > 0).all()
