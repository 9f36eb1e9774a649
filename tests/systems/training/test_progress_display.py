"""One bar in a terminal, a line every five seconds elsewhere, and neither asks for more than the clock."""

import io
import logging
import sys
from types import SimpleNamespace

import pytest
import torch

from systems.training.progress_display import LINE_SECONDS, ProgressDisplay, RecentRate

MODULE = SimpleNamespace(device=torch.device("cpu"), shown={"loss": 0.0123, "psnr": 24.56})


class FakeClock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


class FakeTerminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def trainer(total: int, every: int = 10**9) -> SimpleNamespace:
    """As much of a trainer as is asked."""
    return SimpleNamespace(
        global_step=0,
        max_steps=total,
        log_every_n_steps=50,
        val_check_interval=every,
        num_val_batches=[2],
        num_test_batches=[3],
        state=SimpleNamespace(fn="fit"),
    )


def train(total: int, seconds: float, every: int = 10**9) -> None:
    """Runs a training of steps that take `seconds`, with passes of 8 s, and looks at three test views of 3 s."""
    clock, run = FakeClock(), trainer(total, every)
    progress = ProgressDisplay(clock)
    progress.on_train_start(run, MODULE)
    for step in range(1, total + 1):
        clock.now += seconds
        run.global_step = step
        progress.on_train_batch_end(run, MODULE, None, None, step)
        if step % every == 0:
            progress.on_validation_start(run, MODULE)
            for view in range(2):
                clock.now += 4.0
                progress.on_validation_batch_end(run, MODULE, None, None, view)
            progress.on_validation_end(run, MODULE)
    progress.on_train_end(run, MODULE)
    progress.on_test_start(run, MODULE)
    for view in range(3):
        clock.now += 3.0
        progress.on_test_batch_end(run, MODULE, None, None, view)
    progress.on_test_end(run, MODULE)


@pytest.mark.parametrize("seconds", [0.001, 0.05, 7.0])
def test_lines_come_no_more_often_than_every_five_seconds(seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    total = round(140.0 / seconds)
    with caplog.at_level(logging.INFO, logger="systems.training.progress_display"):
        train(total, seconds)
    steps = [line for line in caplog.messages if line.startswith("step ")]
    assert 20 <= len(steps) <= 140.0 / LINE_SECONDS
    assert [line for line in caplog.messages if line not in steps] == ["view 2 of 3 (66 %): 0.333 views/s, 3 s left"]


def test_a_line_says_step_share_figures_rate_and_time_left(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="systems.training.progress_display"):
        train(1000, 0.125, every=250)
    assert "step 160 of 1000 (16 %): loss 0.0123, psnr 24.56, 8 steps/s, 1 min 45 s left" in caplog.messages
    after = next(line for line in caplog.messages if line.startswith("step 251 "))  # 93.6 s and three passes of 8 s
    assert after.endswith("8 steps/s, 1 min 58 s left")
    assert sum("view" in line for line in caplog.messages) == 1  # of the test pass: those of validation are not shown


def test_a_terminal_has_one_bar_and_no_lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    terminal = FakeTerminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    with caplog.at_level(logging.INFO, logger="systems.training.progress_display"):
        train(1000, 0.125, every=250)
    assert not caplog.messages
    drawn = [line.strip() for line in terminal.getvalue().replace("\n", "\r").split("\r") if line.strip()]
    assert all(line.startswith(("step ", "view ")) for line in drawn)
    assert all(len(line) <= 120 for line in drawn)
    middle = next(line for line in drawn if line.startswith("step 499 of 1000  50 % |"))
    assert middle.endswith("| loss 0.0123, psnr 24.56, 8 steps/s, 1 min 27 s left")
    assert terminal.getvalue().count("\n") == 1  # below the bar of the training; that of the views is wiped
    last = [line for line in drawn if line.startswith("step ")][-1]
    assert last.startswith("step 1000 of 1000 100 % |")
    assert last.endswith("loss 0.0123, psnr 24.56, took 2 min 37 s")


def test_the_bar_is_drawn_four_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = FakeTerminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    train(10000, 0.001)
    assert terminal.getvalue().count("\rstep ") <= 10.0 / 0.25 + 4


def test_the_rate_follows_the_clock_and_not_the_logging_steps() -> None:
    clock, run = FakeClock(), trainer(1000)
    progress = ProgressDisplay(clock)
    progress.on_train_start(run, SimpleNamespace(device=torch.device("cuda"), shown={}))
    rates = []
    for step in range(1, 101):
        clock.now += 0.25 if step <= 60 else 0.5  # slower: known two seconds later, not at the next logging step, 100
        run.global_step = step
        progress.on_train_batch_end(run, MODULE, None, None, step)
        rates.append(progress._rate.per_second)
    assert rates[3] is None  # the first second is not measured yet
    assert rates[20] == pytest.approx(4.0)
    assert rates[70] == pytest.approx(2.0, rel=0.2)
    assert rates[75] == pytest.approx(2.0)


def test_the_rate_leaves_interruptions_out() -> None:
    rate = RecentRate()
    for step in range(1, 6):
        rate.add(step, 0.5 * step)
    rate.pause(8.0)
    rate.add(6, 8.0 + 3.0)
    assert rate.per_second == pytest.approx(2.0)


def test_an_exception_frees_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", FakeTerminal())
    handlers = list(logging.getLogger().handlers)
    progress = ProgressDisplay(FakeClock())
    progress.on_train_start(trainer(10), MODULE)
    progress.on_exception(trainer(10), MODULE, KeyboardInterrupt())
    assert logging.getLogger().handlers == handlers


def test_a_visitors_pause_counts_neither_for_the_rate_nor_for_the_time_left() -> None:
    clock, run = FakeClock(), trainer(1000, every=500)
    progress = ProgressDisplay(clock)
    progress.on_train_start(run, MODULE)
    for step in range(1, 401):
        clock.now += 0.1
        run.global_step = step
        progress.on_train_batch_end(run, MODULE, None, None, step)
        if step == 390:
            clock.now += 3000.0
            progress.pause(3000.0)
    assert progress.rate_and_time_left(400) == ["10 steps/s", "1 min 00 s left"]
