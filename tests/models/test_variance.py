"""The bounds of inv_s: where they lie at each step, and what they do to gradients and to a run that is resumed."""

import math
from dataclasses import replace

import pytest
import torch

from models.variance import Variance
from models.variance_config import VarianceConfig
from utils.config import schema
from utils.config.schedule import Schedule
from utils.errors import ConfigError

CONFIG = VarianceConfig(0.3, modulate=True, mod_start_steps=10, reach_max_steps=30, max_inv_s=1000.0)
RISING = VarianceConfig(0.3, min_inv_s=Schedule(((10, 30.0), (20, 130.0))))


def at_begin(value: float, config: VarianceConfig = CONFIG) -> Variance:
    """A variance that stood at `value` when the cap set in, and wants to be as sharp as it can since."""
    variance = Variance(config)
    variance.variance.data.fill_(value)
    variance.on_step(config.mod_start_steps)
    variance.variance.data.fill_(1.0)
    return variance


def test_the_cap_grows_exponentially_from_where_inv_s_was() -> None:
    variance, found = at_begin(0.2), {}
    for step in (11, 20, 25, 30, 31, 500):
        variance.on_step(step)
        found[step] = variance().item()
    begun, most = math.exp(2.0), 1000.0
    expected = {step: begun ** (1.0 - share) * most**share for step, share in ((11, 0.05), (20, 0.5), (25, 0.75))}
    assert found == pytest.approx(expected | dict.fromkeys((30, 31, 500), most), rel=1e-4)


def test_until_it_sets_in_nothing_is_capped() -> None:
    variance = Variance(CONFIG)
    variance.variance.data.fill_(1.2)
    for step in (0, 9, 10):
        variance.on_step(step)
        assert variance().item() == pytest.approx(math.exp(12.0))


def test_a_smaller_inv_s_is_left_alone_and_learns_on() -> None:
    for value, gradient in ((0.3, 10.0 * math.exp(3.0)), (1.0, 0.0)):
        variance = at_begin(0.5)
        variance.on_step(20)
        variance.variance.data.fill_(value)
        variance().backward()
        assert variance.variance.grad.item() == pytest.approx(gradient)


def test_a_checkpoint_carries_what_the_cap_began_from() -> None:
    variance, resumed = at_begin(0.2), Variance(CONFIG)
    resumed.load_state_dict(variance.state_dict())
    for step in (17, 22):
        for each in (variance, resumed):
            each.on_step(step)
        assert torch.equal(variance(), resumed())


def test_without_modulate_there_is_nothing_but_the_parameter() -> None:
    variance = Variance(replace(CONFIG, modulate=False))
    assert list(variance.state_dict()) == ["variance"]
    variance.on_step(100)
    assert variance().item() == pytest.approx(math.exp(3.0))


def test_inv_s_is_raised_to_its_least_value_and_no_further() -> None:
    variance, found = Variance(RISING), {}
    for step in (0, 10, 15, 20, 500):
        variance.on_step(step)
        found[step] = variance().item()
    assert found == pytest.approx({0: 30.0, 10: 30.0, 15: 80.0, 20: 130.0, 500: 130.0}, rel=1e-5)
    variance.variance.data.fill_(0.6)
    variance.on_step(500)
    assert variance().item() == pytest.approx(math.exp(6.0))


def test_colours_may_sharpen_it_from_its_least_value_on() -> None:
    variance = Variance(RISING)
    variance.variance.data.fill_(0.1)
    variance.on_step(15)
    variance().backward()
    assert variance.variance.grad.item() == pytest.approx(10.0 * 80.0, rel=1e-5)


def test_the_cap_gives_way_to_the_least_value() -> None:
    least = Schedule(((0, 1.0), (12, 500.0)))
    variance = at_begin(0.2, replace(CONFIG, min_inv_s=least))
    found = {}
    for step in (12, 30):
        variance.on_step(step)
        found[step] = variance().item()
    assert found == pytest.approx({12: 500.0, 30: 1000.0}, rel=1e-4)  # the cap alone would be 454 at step 12
    assert variance.variance.item() == pytest.approx(1.0)


def test_a_least_value_above_the_cap_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.variance\.min_inv_s: expected at most 1000 \(model"):
        replace(CONFIG, min_inv_s=Schedule(((0, 20.0), (5, 2000.0))))


def test_the_least_value_is_read_from_yaml_and_written_back() -> None:
    node = {"min_inv_s": [0, 20, 400, 1000]}
    config = schema.parse(VarianceConfig, node)
    assert config.min_inv_s.at(500) == pytest.approx(210.0)
    assert schema.to_dict(config)["min_inv_s"] == node["min_inv_s"]
