"""Removed keys: what an earlier version wrote by itself passes, and a value with an effect is refused in one line."""

from typing import Any

import pytest

from systems.configs import Experiment, LossConfig, read_experiment
from utils.config import schema
from utils.errors import ConfigError

DEMO = "configs/neus-demo.yaml"
# What config/parsed.yaml of a run of the first version holds beside the keys of today.
WRITTEN = {
    ("model", "grid_reseed"): False,
    ("model", "variance", "modulate"): False,
    ("model", "variance", "mod_start_steps"): None,
    ("model", "variance", "reach_max_steps"): None,
    ("model", "variance", "max_inv_s"): None,
    ("model", "variance", "min_inv_s"): None,
    ("system", "loss", "normal_smooth_scale"): 10.0,
    ("system", "loss", "lambda_normal_smooth"): 0.0,
    ("system", "loss", "lambda_grid_tv"): [[0, 0.0], [9, 0.0]],
}


def with_keys(values: dict[tuple[str, ...], Any]) -> dict:
    """The parsed form of the demo, with further keys."""
    tree = schema.to_dict(read_experiment([DEMO], []))
    for keys, value in values.items():
        block = tree
        for key in keys[:-1]:
            block = block[key]
        block[keys[-1]] = value
    return tree


def test_the_parsed_file_of_an_older_run_gives_the_same_experiment() -> None:
    assert schema.parse(Experiment, with_keys(WRITTEN)) == read_experiment([DEMO], [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.grid_reseed", True),
        ("model.variance.modulate", True),
        ("model.variance.min_inv_s", [0, 20, 400, 1000]),
        ("system.loss.lambda_normal_smooth", 0.02),
        ("system.loss.lambda_grid_tv", [[0, 0.0], [9, 0.1]]),
    ],
)
def test_a_value_that_had_an_effect_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{key}: removed: .*\. Leave the key out\.$"):
        schema.parse(Experiment, with_keys({tuple(key.split(".")): value}))


def test_a_removed_key_is_none_of_the_keys_of_today() -> None:
    assert not LossConfig.RETIRED.keys() & LossConfig.options().keys()
