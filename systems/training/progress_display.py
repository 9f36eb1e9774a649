"""Shows the progress of a pass while it runs: as one bar in a terminal, as a line every few seconds in a log."""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from shutil import get_terminal_size
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from utils.terminal.at_work import at_work, heard
from utils.terminal.eta import EtaEstimator, format_duration

log = logging.getLogger(__name__)
BAR_SECONDS, LINE_SECONDS = 0.25, 5.0  # least time between two updates of the bar, and between two lines of a log
RATE_SECONDS, SAMPLE_SECONDS = 2.0, 1.0  # that a rate is taken over, and the most between two measurements
Show = Callable[[int, str], None]  # takes the step, and a text with metrics and the time left


@contextmanager
def bar(unit: str, first: int, last: int) -> Iterator[Show]:
    """Draws a bar at the bottom of the terminal, below the log lines; a bar of steps stays when they are done."""
    form = f"{unit} {{n_fmt}} of {{total_fmt}} {{percentage:3.0f}} % |{{bar}}| {{desc}}"
    sizes = {"total": last, "initial": first, "ncols": get_terminal_size().columns}
    with logging_redirect_tqdm(), tqdm(bar_format=form, leave=unit == "step", **sizes) as drawn:

        def show(step: int, text: str) -> None:
            drawn.n, drawn.desc = step, text
            drawn.ncols = get_terminal_size().columns  # tqdm's own value is None if the terminal reports no size
            drawn.refresh()
            heard()

        yield show


@contextmanager
def lines(unit: str, first: int, last: int) -> Iterator[Show]:
    """Logs a line for each update."""
    yield lambda step, text: log.info("%s %d of %d (%d %%): %s", unit, step, last, 100 * step // max(last, 1), text)


class RecentRate:
    """Steps per second over the last two seconds, or over the last step where that took longer."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, int]] = deque()  # when steps ended; the first of all may have taken anything

    def add(self, step: int, now: float) -> None:
        """A step has ended."""
        self._ends.append((now, step))
        while len(self._ends) > 2 and self._ends[1][0] <= now - RATE_SECONDS:
            self._ends.popleft()

    def pause(self, seconds: float) -> None:
        """An interruption of so many seconds has ended, which does not count."""
        self._ends = deque((when + seconds, step) for when, step in self._ends)

    @property
    def per_second(self) -> float | None:
        """None before the second step."""
        if len(self._ends) < 2:
            return None
        (first, start), (last, end) = self._ends[0], self._ends[-1]
        return (end - start) / max(last - first, 1e-9)


class ProgressDisplay(Callback):
    """Shows how far a pass is, the metrics in the module's `shown`, the rate and the time left.

    It never waits for the device. Validation passes within a training show nothing of their own."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._open = ExitStack()  # closes the bar

    def _start(self, unit: str, first: int, last: int, every: int | None = None) -> None:
        self._unit, self._step = unit, first
        self._begun = self._drawn = self._now()
        self._eta, self._rate, self._measured = EtaEstimator(first, last, self._begun, every), RecentRate(), self._begun
        self._is_bar = sys.stderr.isatty()
        self._show = self._open.enter_context((bar if self._is_bar else lines)(unit, first, last))
        self._open.enter_context(at_work("training" if unit == "step" else "views", named=True))  # where one takes long

    def _advance(self, step: int, shown: dict[str, float], measured: bool = True) -> None:
        now, self._step = self._now(), step
        if measured or now - self._measured >= SAMPLE_SECONDS:
            self._measured = now
            self._eta.add(step, now)
            self._rate.add(step, now)
        if now - self._drawn >= (BAR_SECONDS if self._is_bar else LINE_SECONDS):
            self._drawn = now
            self._show(step, ", ".join([*metric_texts(shown), *self.rate_and_time_left(step)]))

    def rate_and_time_left(self, step: int) -> list[str]:
        """How fast a pass is, once that is known, and how long it still takes after a step, in words."""
        left, rate = self._eta.left(step), self._rate.per_second
        told = [] if rate is None else [f"{rate:.3g} {self._unit}s/s"]
        return [*told, "time left not yet known" if left is None else f"{format_duration(left)} left"]

    def pause(self, seconds: float) -> None:
        """A visitor's pause of so many seconds has ended, which does not count for the rate and the time left."""
        self._eta.wait(seconds)
        self._rate.pause(seconds)

    def _finish(self, *args: Any) -> None:
        self._open.close()

    on_test_end = on_predict_end = on_exception = _finish

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts at the first step of the training."""
        # The host runs ahead of a GPU. They are in step only at logging steps, where the host waits for metrics.
        self._measured_every = trainer.log_every_n_steps if pl_module.device.type == "cuda" else 1
        self._start("step", trainer.global_step, trainer.max_steps, trainer.val_check_interval)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Advances by a training step."""
        step = trainer.global_step
        self._advance(step, pl_module.shown, step % self._measured_every == 0)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leaves the bar with the last metrics and the duration of the training."""
        if self._is_bar:
            took = f"took {format_duration(self._now() - self._begun)}"
            self._show(trainer.global_step, ", ".join([*metric_texts(pl_module.shown), took]))
        self._finish()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts a validation pass of its own, or notes that one interrupts the training."""
        self._interrupted = self._now()
        if trainer.state.fn == "validate":
            self._start("view", 0, sum(trainer.num_val_batches))

    def on_validation_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Advances by a view, unless the pass interrupts a training."""
        if trainer.state.fn == "validate":
            self._advance(self._step + 1, {})

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends a validation pass of its own, or notes that the training goes on."""
        if trainer.state.fn == "validate":
            self._finish()
        else:
            self._eta.pause(self._now() - self._interrupted)
            self._rate.pause(self._now() - self._interrupted)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts with the test views."""
        self._start("view", 0, sum(trainer.num_test_batches))

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts with the frames of the orbit."""
        self._start("view", 0, sum(trainer.num_predict_batches))

    def on_test_batch_end(self, *args: Any) -> None:
        """Advances by a view."""
        self._advance(self._step + 1, {})

    on_predict_batch_end = on_test_batch_end


def metric_texts(shown: dict[str, float]) -> list[str]:
    """Metrics by name, in words."""
    return [f"{name} {value:.4g}" for name, value in shown.items()]
