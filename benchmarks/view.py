"""What the live viewer costs a training: time per step without it, with it, and with a visitor who moves about.

    python -m benchmarks.view --config configs/neus-demo.yaml

One training passes through windows of a few steps, without a page, with one that nobody visits, and with one that a
process of its own visits, in turns: a step is compared with its neighbours, whatever else the machine does. On a CPU
that is shared the time of the processor says more than the clock: it is that of all threads of the training's process,
the server's too, which run beside it where there is a second core."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from benchmarks import common
from benchmarks.common import Result, progress, rounded, spread, synchronise
from benchmarks.experiments import train
from systems.configs import read_experiment
from systems.viewer.address import find_address
from systems.viewer.live import LiveView
from utils.config import schema
from utils.registry import ROOT

KINDS = ("off", "on, nobody there", "on, a visitor moving")
WARM, WINDOW, SKIPPED, TURNS = 250, 240, 60, 6  # steps before the first window, of one, at its start; windows of a kind
QUICK_WARM, QUICK_WINDOW, QUICK_SKIPPED, QUICK_TURNS = 5, 6, 2, 2


class Windows(Callback):
    """Opens and closes pages while a training goes on, and times the steps of each window but for the first ones."""

    def __init__(self, warm: int, window: int, skipped: int, visitor: subprocess.Popen) -> None:
        self.warm, self.window, self.skipped, self.visitor = warm, window, skipped, visitor
        self.ms: dict[str, list[float]] = {kind: [] for kind in KINDS}  # per step, by the clock
        self.cpu_ms: dict[str, list[float]] = {kind: [] for kind in KINDS}  # of the processor
        self._view: LiveView | None = None
        self._begun = 0.0, 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """What the page of this window does, and its clock."""
        if self._view is not None:
            self._view.on_train_batch_end(trainer, pl_module, *args)
        index, within = divmod(trainer.global_step - self.warm, self.window)
        if trainer.global_step < self.warm:
            return
        if within == 0:
            self._turn(trainer, pl_module, index)
        if within == self.skipped:
            synchronise(pl_module.device)
            self._begun = time.perf_counter(), time.process_time()

    def _turn(self, trainer: pl.Trainer, pl_module: pl.LightningModule, index: int) -> None:
        """Ends one window and begins the next."""
        synchronise(pl_module.device)
        if index > 0:
            kind, per_step = KINDS[(index - 1) % len(KINDS)], 1e3 / (self.window - self.skipped)
            self.ms[kind].append(per_step * (time.perf_counter() - self._begun[0]))
            self.cpu_ms[kind].append(per_step * (time.process_time() - self._begun[1]))
        if self._view is not None:
            self._view.on_exception()  # closes it without a word
            self._view = None
        kind = KINDS[index % len(KINDS)]
        progress(f"step {trainer.global_step} of {trainer.max_steps}: viewer {kind}")
        if kind == KINDS[0]:
            return
        self._view = LiveView(find_address("127.0.0.1", 0))
        self._view.on_fit_start(trainer, pl_module)
        if kind == KINDS[2]:
            self.visitor.stdin.write(f"{self._view.page.address.port}\n")
            self.visitor.stdin.flush()


@contextmanager
def visiting() -> Iterator[subprocess.Popen]:
    """Somebody who goes where they are told."""
    command = [sys.executable, "-m", "benchmarks.visitor"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True) as visitor:
        try:
            yield visitor
        finally:
            visitor.terminate()


def work(argv: list[str]) -> None:
    """Trains once and writes the JSON file."""
    parser = common.Parser("view", "What the live viewer costs a training; key=value override.")
    parser.add_argument("--config", nargs="+", action="extend", required=True, metavar="YAML")
    args = common.parse_with_overrides(parser, argv)
    device = common.chosen_device(args.device)
    experiment = read_experiment(args.config, args.overrides)
    quick = QUICK_WARM, QUICK_WINDOW, QUICK_SKIPPED, QUICK_TURNS
    warm, window, skipped, turns = quick if args.quick else (WARM, WINDOW, SKIPPED, TURNS)
    short = replace(experiment.trainer, max_steps=warm + len(KINDS) * turns * window, enable_progress_bar=False)
    experiment = replace(experiment, trainer=short)
    result = Result("view", "view", device, args, argv, config=schema.to_dict(experiment))
    with visiting() as visitor:
        windows = Windows(warm, window, skipped, visitor)
        train(experiment, device, [windows])
    rows = []
    for kind in KINDS:
        row: dict[str, Any] = {"viewer": kind}
        for name, times in (("ms", windows.ms), ("cpu_ms", windows.cpu_ms)):
            slower = [100.0 * (own / off - 1.0) for own, off in zip(times[kind], times[KINDS[0]], strict=True)]
            row |= {f"{name}_per_step": spread(times[kind]), f"{name}_slower_percent": spread(slower)}
            row[f"each_{name}"] = [rounded(value) for value in times[kind]]
        rows.append(row)
    result.write(warm=warm, window=window, skipped=skipped, rows=rows)
    print(result.path)


if __name__ == "__main__":
    sys.exit(common.run_command(work))
