"""Numbers that change with the step: linear in between, constant outside, and the same after a dump."""

import itertools
import math

import pytest

from utils.config.schedule import Schedule
from utils.errors import ConfigError

STEPS = (0, 1, 10, 20000)
VALUES = (0.0, 1.0, -0.5, 1e-12, 3e7)
SCHEDULES = [
    Schedule(((start, first), (end, last)))
    for start, end in itertools.combinations_with_replacement(STEPS, 2)
    for first, last in itertools.product(VALUES, repeat=2)
]


def test_every_schedule_comes_back_from_its_dump() -> None:
    longer = [Schedule((*schedule.points, (20000, 7.0), (30000, 0.0))) for schedule in SCHEDULES]
    for schedule in SCHEDULES + longer:
        assert Schedule.from_config(schedule.to_config(), "x") == schedule


@pytest.mark.parametrize("value", [0, 0.1, -3, 2e4])
def test_a_number_is_a_constant_and_stays_a_number(value: float) -> None:
    schedule = Schedule.from_config(value, "x")
    assert schedule.to_config() == value
    assert [schedule.at(step) for step in STEPS] == [value] * len(STEPS)


def test_constant_outside_its_ends() -> None:
    for schedule in SCHEDULES:
        (start_step, start_value), (end_step, end_value) = schedule.points
        assert schedule.at(end_step) == schedule.at(end_step + 7) == end_value
        if start_step < end_step:
            assert schedule.at(start_step) == start_value
        if start_step > 0:
            assert schedule.at(0) == start_value


def test_linear_between_its_ends() -> None:
    schedule = Schedule.from_config([100, 1.0, 3.0, 200], "x")
    assert [schedule.at(step) for step in (0, 100, 150, 175, 200, 999)] == [1.0, 1.0, 2.0, 2.5, 3.0, 3.0]


def test_a_weight_that_warms_up_and_decays() -> None:
    schedule = Schedule.from_config([[0, 0.0], [1000, 5.0e-4], [3000, 1.0e-4]], "x")
    found = [schedule.at(step) for step in (0, 500, 1000, 2000, 3000, 9999)]
    assert found == pytest.approx([0.0, 2.5e-4, 5e-4, 3e-4, 1e-4, 1e-4])
    assert not schedule.is_zero
    assert Schedule.from_config([[0, 0], [9, 0]], "x").is_zero


def test_a_schedule_of_three_starts_at_step_0() -> None:
    assert Schedule.from_config([0.0, 1.0, 10], "x") == Schedule.from_config([0, 0.0, 1.0, 10], "x")


def test_equal_steps_are_a_jump() -> None:
    schedule = Schedule.from_config([100, 1.0, 3.0, 100], "x")
    assert [schedule.at(step) for step in (0, 99, 100, 101)] == [1.0, 1.0, 3.0, 3.0]


@pytest.mark.parametrize(
    "value",
    [
        [],
        [1, 2],
        [0, 1, 2, 3, 4],
        [9, 0.0, 1.0, 3],
        [0.5, 0.0, 1.0, 3],
        [[0, 1.0]],
        [[0, 1.0], [5, 2.0, 3]],
        [[5, 1.0], [4, 2.0]],
        [[0, 1.0], [4.5, 2.0]],
        [[0, 1.0], 3, 4, 5],
        [0, 0.0, 1.0, 3.5],
        [0, "a", 1, 2],
        [0, math.nan, 1, 2],
        [0, 1, 2, math.inf],
        "much",
        True,
        None,
        {"start": 0},
    ],
    ids=str,
)
def test_bad_schedules_are_refused_with_their_place(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^system\.loss\.lambda_x: expected a number or a schedule"):
        Schedule.from_config(value, "system.loss.lambda_x")
