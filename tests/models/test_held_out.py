"""Exposures of photographs that were held out, expected from those before and after them."""

import torch
from torch.testing import assert_close

from models.photographs.held_out import ExpectedExposure
from models.photographs.photometry import Exposure

PLACES = torch.tensor([i for i in range(64) if i % 8 != 4])
HELD_OUT = torch.arange(4, 64, 8)


def learned(values: torch.Tensor) -> Exposure:
    """Exposures (64, 2, 3) of which a training has learned those at PLACES."""
    exposure = Exposure(len(PLACES))
    exposure.affine.data.copy_(values[PLACES])
    return exposure


def test_an_exposure_that_drifts_is_found_between_its_neighbours() -> None:
    values = torch.linspace(0.0, 4.0, 64).sin()[:, None, None] * torch.tensor([[0.3], [0.05]]).expand(2, 3)
    exposure = learned(values)
    found = ExpectedExposure.between(exposure, PLACES, HELD_OUT).affine
    true = values[HELD_OUT] - exposure.affine.mean(dim=0)
    assert (found - true).abs().max() < 2e-3 < 0.1 < true.abs().max()
    light, cover, image = torch.rand(20, 3), torch.rand(20, 1), torch.randint(len(HELD_OUT), (20,))
    gain, offset = found[image].unbind(dim=1)
    shown = ExpectedExposure(found)(light, cover, image)
    assert_close(shown, light * gain.exp() + cover * offset)


def test_the_order_in_which_a_training_has_its_photographs_says_nothing() -> None:
    values, mixed = torch.randn(64, 2, 3).cumsum(dim=0), torch.randperm(len(PLACES))
    exposure = learned(values)
    found = ExpectedExposure.between(exposure, PLACES, HELD_OUT).affine
    exposure.affine.data.copy_(values[PLACES[mixed]])
    assert_close(ExpectedExposure.between(exposure, PLACES[mixed], HELD_OUT).affine, found)


def test_exposures_without_order_are_expected_at_the_mean() -> None:
    torch.manual_seed(0)
    values = torch.randn(64, 2, 3)
    found = ExpectedExposure.between(learned(values), PLACES, HELD_OUT).affine
    between = 0.5 * (values[HELD_OUT - 1] + values[HELD_OUT + 1])
    assert found.norm() < 0.4 * between.norm()  # neighbours by themselves would be half as wrong again as the mean


def test_gains_may_drift_while_offsets_do_not() -> None:
    torch.manual_seed(0)
    values = torch.stack([torch.linspace(-1.0, 1.0, 64)[:, None].expand(64, 3), torch.randn(64, 3)], dim=1)
    found = ExpectedExposure.between(learned(values), PLACES, HELD_OUT).affine
    assert (found[:, 0] - values[HELD_OUT, 0]).abs().max() < 0.1
    assert found[:, 1].norm() < 0.4 * values[HELD_OUT, 1].norm()


def test_beyond_the_ends_the_nearest_counts_and_two_photographs_tell_nothing() -> None:
    values = torch.linspace(-1.0, 1.0, 64)[:, None, None].expand(64, 2, 3)
    found = ExpectedExposure.between(learned(values), PLACES, torch.tensor([-5, 80])).affine
    exposure = learned(values)
    assert_close(found, exposure.centred[[0, -1]], rtol=0.02, atol=0.0)
    two = Exposure(2)
    two.affine.data.copy_(values[:2])
    assert not ExpectedExposure.between(two, torch.tensor([0, 2]), torch.tensor([1])).affine.any()
