"""What held-out photographs are shown with, from what a training has learned of others."""

from types import SimpleNamespace

import pytest
import torch

from models.photographs.held_out import ExpectedExposure
from models.photographs.photometry import Exposure
from systems.training.photographs import held_out_photometry

CPU = torch.device("cpu")


def data_of(training: list[str], test: list[str]) -> SimpleNamespace:
    """Splits that know the names of their photographs; the same object where these are the same."""
    views = {"train": SimpleNamespace(image_names=tuple(training))}
    views["test"] = views["train"] if test == training else SimpleNamespace(image_names=tuple(test))
    return SimpleNamespace(views=lambda split, device: views[split])


def exposure_of(gains: list[float]) -> Exposure:
    """Log gains, one of all channels for each photograph."""
    exposure = Exposure(len(gains))
    exposure.affine.data[:, 0] = torch.tensor(gains)[:, None]
    return exposure


def test_numbers_in_names_order_the_photographs() -> None:
    exposure = exposure_of([0.0, 0.2, 0.4, 1.0])
    data = data_of(["2.jpg", "4.jpg", "6.jpg", "12.jpg"], ["10.jpg", "3.jpg"])
    found = held_out_photometry({"exposure": exposure}, data, "test", CPU).exposure.affine[:, 0, 0]
    # in a row they are 2, 3, 4, 6, 10, 12; 10 lies between 6 and 12, and 3 between 2 and 4
    assert found[1] < 0.0 < found[0]
    assert found[0] < exposure.centred[3, 0, 0]


def test_the_training_itself_keeps_its_exposures() -> None:
    exposure, names = exposure_of([0.0, 0.2, 0.4]), ["1", "2", "3"]
    assert held_out_photometry({"exposure": exposure}, data_of(names, names), "test", CPU).exposure is exposure


@pytest.mark.parametrize(("training", "test"), [(["a", "b", "c"], ["a", "d"]), (["a", "b", "c", "e"], ["d"])])
def test_names_that_do_not_order_them_leave_the_mean(training: list[str], test: list[str]) -> None:
    parts = {"exposure": exposure_of([0.0, 0.2, 0.4])}
    assert held_out_photometry(parts, data_of(training, test), "test", CPU) is None


def test_without_exposures_colours_are_as_they_are() -> None:
    data = data_of(["a", "b", "c"], ["d"])
    assert held_out_photometry({}, data, "test", CPU) is None
    shown = held_out_photometry({"exposure": exposure_of([0.0, 0.2, 0.4])}, data, "test", CPU)
    assert isinstance(shown.exposure, ExpectedExposure)
