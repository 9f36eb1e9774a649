"""The time left is right within a fifth after the first tenth, on simulated clocks."""

from collections.abc import Callable

import pytest

from utils.terminal.eta import EtaEstimator, format_duration

TOTALS = [200, 1400, 20000]


def errors(
    total: int, took: Callable[[int], float], first: int = 0, every: int | None = None, pause: float = 0.0
) -> dict[int, float]:
    """step -> error of the time left as a share of the true one, after the first tenth; took: seconds of a step.

    The last hundredth is left out: a share of nearly nothing says nothing."""
    now, eta, said, ends = 100.0, EtaEstimator(first, total, 100.0, every), {}, {}
    for step in range(first, total):
        now += took(step)
        said[step + 1], ends[step + 1] = eta.add(step + 1, now), now
        if every and (step + 1) % every == 0:
            now += pause
            eta.pause(pause)
    begin, end = first + (total - first) // 10, total - (total - first) // 100
    return {step: abs(said[step] / (now - ends[step]) - 1.0) for step in range(begin, end)}


@pytest.mark.parametrize("total", TOTALS)
def test_an_even_rate(total: int) -> None:
    assert max(errors(total, lambda step: 0.01).values()) < 1e-6


@pytest.mark.parametrize("total", TOTALS)
def test_slow_first_steps_do_not_count(total: int) -> None:
    assert max(errors(total, lambda step: 10.0 if step < 3 else 0.01).values()) < 0.01


@pytest.mark.parametrize("total", TOTALS)
def test_steps_that_compile_later_do_not_count(total: int) -> None:
    late = errors(total, lambda step: 2.0 if step == total // 2 else 0.01)
    assert max(error for step, error in late.items() if step > total // 2) < 0.01


@pytest.mark.parametrize("total", TOTALS)
def test_work_that_recurs_counts(total: int) -> None:
    assert max(errors(total, lambda step: 0.03 if step % 16 == 0 else 0.01).values()) < 0.2


@pytest.mark.parametrize("total", TOTALS)
def test_validation_passes_are_counted_apart(total: int) -> None:
    every, pause = total // 20, 0.002 * total  # four times what the steps in between take
    assert max(errors(total, lambda step: 0.01, every=every, pause=pause).values()) < 0.01


@pytest.mark.parametrize("total", TOTALS)
def test_a_pass_that_has_not_come_yet_is_no_surprise_of_a_fifth(total: int) -> None:
    pause = 0.04 * 0.01 * total  # each takes 4 % of the training's steps
    assert max(errors(total, lambda step: 0.01, every=total // 4, pause=pause).values()) < 0.2


@pytest.mark.parametrize("total", TOTALS[1:])
def test_steps_that_grow_by_half(total: int) -> None:
    assert max(errors(total, lambda step: 0.01 * (1.0 + 0.5 * step / total)).values()) < 0.2


@pytest.mark.parametrize("total", TOTALS)
@pytest.mark.parametrize("share", [0.02, 0.8])
def test_steps_that_grow_by_half_at_once(total: int, share: float) -> None:
    jump = round(share * total)
    found = errors(total, lambda step: 0.015 if step >= jump else 0.01)
    foreseeable = [found[step] for step in found if step < total // 2 or step > jump + 0.08 * total]
    assert max(foreseeable) < 0.2


def test_a_resumed_training_has_a_eta_of_its_own() -> None:
    assert max(errors(20000, lambda step: 5.0 if step == 15000 else 0.01, first=15000).values()) < 0.01


def test_a_few_steps_have_an_end_too() -> None:
    eta = EtaEstimator(0, 2, 0.0)
    assert eta.add(1, 3.0) is None
    assert eta.add(2, 4.0) == 0.0
    assert eta.seconds_per_step == 1.0


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")]
)
def test_durations_in_words(seconds: float, said: str) -> None:
    assert format_duration(seconds) == said
