"""The sharpness of a surface: its scale, its bounds and its gradient."""

import math

import pytest
import torch

from models.variance import Variance
from models.variance_config import VarianceConfig


def test_inv_s_is_the_exponential_of_ten_times_the_parameter() -> None:
    variance = Variance(VarianceConfig(0.3))
    assert list(variance.state_dict()) == ["variance"]  # the name that checkpoints know
    variance().backward()
    assert variance().item() == pytest.approx(math.exp(3.0))
    assert variance.variance.grad.item() == pytest.approx(10.0 * math.exp(3.0))


@pytest.mark.parametrize(("parameter", "expected"), [(-9.0, 1e-6), (9.0, 1e6)])
def test_inv_s_stays_within_what_float32_can_use(parameter: float, expected: float) -> None:
    variance = Variance(VarianceConfig(0.3))
    with torch.no_grad():
        variance.variance.fill_(parameter)
    assert variance().item() == pytest.approx(expected)
