"""What the live viewer costs a training: steps per second without it, with it, and with a visitor who moves about.

    python -m benchmarks.view --config configs/neus-demo.yaml

The visitor is a process of its own. Trainings of the three kinds take turns, so that a machine that is slow for a while
is slow for all of them; the processor's time, of all threads of a training, does not count what other programs do."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from benchmarks import common
from benchmarks.common import Result, progress, rounded, spread, synchronise
from benchmarks.experiments import train
from systems.configs import Experiment, read_experiment
from systems.viewer.address import find_address
from systems.viewer.live import LiveView
from utils import schema
from utils.registry import ROOT

STEPS, WARM, REPEATS = 400, 150, 5
QUICK_STEPS, QUICK_WARM, QUICK_REPEATS = 20, 5, 1
NONE, EMPTY, VISITED = "off", "on, nobody there", "on, a visitor moving"


class Rate(Callback):
    """Steps per second, and milliseconds of the processor per step, from a step on."""

    def __init__(self, warm: int) -> None:
        self.warm, self.steps_per_s, self.cpu_ms = warm, 0.0, 0.0
        self._begun = 0.0, 0.0

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Starts the clocks when all is warm, and reads them at the end."""
        if trainer.global_step in (self.warm, trainer.max_steps):
            synchronise(pl_module.device)
            (wall, cpu), steps = self._begun, trainer.max_steps - self.warm
            self._begun = time.perf_counter(), time.process_time()
            self.steps_per_s = steps / (self._begun[0] - wall)
            self.cpu_ms = 1e3 * (self._begun[1] - cpu) / steps


@contextmanager
def visited(port: int) -> Iterator[None]:
    """Somebody is there."""
    visitor = subprocess.Popen([sys.executable, "-m", "benchmarks.visitor", str(port)], cwd=ROOT)
    try:
        yield
    finally:
        visitor.terminate()
        visitor.wait()


def measure(experiment: Experiment, device: torch.device, kind: str, warm: int) -> Rate:
    """The rate of one training."""
    common.forget(device)
    rate = Rate(warm)
    if kind == NONE:
        train(experiment, device, [rate])
        return rate
    address = find_address("127.0.0.1", 0)
    callbacks = [LiveView(address), rate]
    if kind == EMPTY:
        train(experiment, device, callbacks)
    else:
        with visited(address.port):
            train(experiment, device, callbacks)
    return rate


def work(argv: list[str]) -> None:
    """Trains each kind several times in turns, and writes the JSON file after each round."""
    parser = common.Parser("view", "What the live viewer costs a training; key=value override.")
    parser.add_argument("--config", nargs="+", action="extend", required=True, metavar="YAML")
    args = common.parse_with_overrides(parser, argv)
    device = common.chosen_device(args.device)
    experiment = read_experiment(args.config, args.overrides)
    steps, warm, repeats = (QUICK_STEPS, QUICK_WARM, QUICK_REPEATS) if args.quick else (STEPS, WARM, REPEATS)
    short = replace(experiment.trainer, max_steps=steps, enable_progress_bar=False)
    experiment = replace(experiment, trainer=short)
    result = Result("view", "view", device, args, argv, config=schema.to_dict(experiment), steps=steps, warm=warm)
    found: dict[str, list[Rate]] = {NONE: [], EMPTY: [], VISITED: []}
    for turn in range(repeats):
        for kind, rates in found.items():
            progress(f"{turn + 1} of {repeats}: viewer {kind}")
            rates.append(measure(experiment, device, kind, warm))
        result.write(rows=[{"viewer": kind, **figures(rates)} for kind, rates in found.items()])
    print(result.path)


def figures(rates: Sequence[Rate]) -> dict[str, Any]:
    """What is kept of the trainings of one kind."""
    return {
        "steps_per_s": spread([rate.steps_per_s for rate in rates]),
        "cpu_ms_per_step": spread([rate.cpu_ms for rate in rates]),
        "each": [[rounded(rate.steps_per_s), rounded(rate.cpu_ms)] for rate in rates],
    }


if __name__ == "__main__":
    sys.exit(common.run_command(work))
