"""Watches a training: a clock that stops while it evaluates, time per step, held-out PSNR over time, memory."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torchmetrics.functional.image import peak_signal_noise_ratio

from benchmarks.common import progress, rounded, spread, synchronise
from models.inference import render_pixels
from systems.steps.step import view_background
from utils.environment import peak_memory
from utils.stages import seconds_since_start


class PausableClock:
    """Seconds while it ran. `settle` is called before each reading, to wait for work that is still in a queue."""

    def __init__(self, settle: Callable[[], None], now: Callable[[], float] = time.perf_counter) -> None:
        self._settle, self._now = settle, now
        self._before, self._since = 0.0, None

    @property
    def running(self) -> bool:
        """Whether time is being counted."""
        return self._since is not None

    def start(self) -> None:
        """Goes on counting; nothing happens while it runs."""
        if self._since is None:
            self._settle()
            self._since = self._now()

    def pause(self) -> float:
        """Stops counting and returns the seconds so far."""
        self._before, self._since = self.seconds(), None
        return self._before

    def seconds(self) -> float:
        """Seconds counted so far."""
        if self._since is None:
            return self._before
        self._settle()
        return self._before + self._now() - self._since


class StepTimes:
    """Time per step over windows of equally many steps. Nothing is waited for while it records."""

    def __init__(
        self, device: torch.device, window: int, warm: int, now: Callable[[], float] = time.perf_counter
    ) -> None:
        """window: steps; windows that begin before step `warm` do not count; now: the clock where there is no GPU."""
        self.device, self.window, self.warm, self._now = device, window, warm, now
        self._marks: list[tuple[int, Any]] = []
        self._pauses: set[int] = set()  # places in _marks that a pause lies in front of

    def mark(self, step: int) -> None:
        """Call after each step."""
        if step % self.window == 0:
            self._marks.append((step, self._moment()))

    def resume(self, step: int) -> None:
        """Call after a pause: the time since the last mark counts for nothing."""
        self._pauses.add(len(self._marks))
        self.mark(step)

    def _moment(self) -> Any:
        if self.device.type != "cuda":
            return self._now()
        event = torch.cuda.Event(enable_timing=True)  # by the clock of the GPU: the host runs ahead of it
        event.record()
        return event

    def per_step(self) -> list[float]:
        """Milliseconds per step, one figure for each window."""
        synchronise(self.device)
        found = []
        for place in range(1, len(self._marks)):
            (first, begin), (last, end) = self._marks[place - 1 : place + 1]
            if place in self._pauses or last - first != self.window or first < self.warm:
                continue
            took = begin.elapsed_time(end) if self.device.type == "cuda" else (end - begin) * 1e3
            found.append(took / self.window)
        return found


@dataclass(frozen=True)
class Plan:
    """How a training is watched."""

    last_step: int  # training ends after it
    evaluations: frozenset[int]  # after these steps; the last one is evaluated over all views anyway
    views: int  # held-out views of an evaluation, evenly spread; 0: nothing is evaluated, at the end neither
    window: int  # steps over which the time per step is taken
    warm: int  # steps that do not count for it
    deadline: float | None = None  # on the clock of time.monotonic: training ends after the step that passes it


def evaluation_steps(every: Sequence[int], last_step: int) -> frozenset[int]:
    """The steps that --eval_every means: one number is an interval, several are the steps themselves."""
    steps = range(every[0], last_step + 1, every[0]) if len(every) == 1 else every
    return frozenset(step for step in steps if step <= last_step)


def reached(curve: Sequence[dict[str, Any]], thresholds: Sequence[float]) -> list[dict[str, Any]]:
    """For each PSNR in dB the first evaluation that reaches it: its step and seconds, None where none does.

    Nothing is interpolated: the true moment lies between the evaluation before and this one."""
    found = []
    for threshold in thresholds:
        point = next((point for point in curve if point["psnr"] >= threshold), None)
        seconds, step = (point["seconds"], point["step"]) if point else (None, None)
        found.append({"psnr": threshold, "step": step, "seconds": seconds})
    return found


def held_out_psnr(trainer: pl.Trainer, system: pl.LightningModule, views: int | None) -> tuple[float, int]:
    """Mean PSNR in dB over held-out views, and their number: `views` of them evenly spread, None for all.

    Computed as in a test pass, and without a trace in the training: nothing random is drawn, and the model is looked
    at as the next step would set it."""
    model, device = system.model, system.device
    model.on_step(system.current_step)
    background = view_background(system.experiment.model, device)
    photographs = trainer.datamodule.views("test", device)
    count = len(photographs) if views is None else min(views, len(photographs))
    psnr = []
    with torch.no_grad(), trainer.precision_plugin.val_step_context():
        for index in np.linspace(0, len(photographs) - 1, count).round().astype(int).tolist():
            batch = photographs.image(index, background)
            rgb = render_pixels(model, partial(photographs.rays, index), background, photographs.size(index))["rgb"]
            psnr.append(peak_signal_noise_ratio(rgb.float(), batch.rgb, data_range=1.0))
    return float(torch.stack(psnr).mean()), count


class Recorder(Callback):
    """Measures a training by a plan; the figures lie in `report` when it has ended."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        self.plan, self.device = plan, device
        self.clock = PausableClock(lambda: synchronise(device))
        self.times = StepTimes(device, plan.window, plan.warm)
        self.curve: list[dict[str, Any]] = []
        self.report: dict[str, Any] = {}
        self._peaks = {"allocated": 0, "reserved": 0}
        self._first_step: float | None = None

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Starts the clock in front of the first step; asks to see the steps of the plan."""
        if not self.clock.running:
            steps = self.plan.window, self.plan.last_step, *self.plan.evaluations
            pl_module.at_once = math.gcd(pl_module.at_once, *steps)
            self.clock.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Marks the step, and evaluates or ends the training where it is due."""
        step, plan = trainer.global_step, self.plan
        self.times.mark(step)
        if self._first_step is None:
            synchronise(self.device)
            self._first_step = seconds_since_start()
        late = plan.deadline is not None and time.monotonic() > plan.deadline
        if step >= plan.last_step or late:
            trainer.should_stop = True
            self._finish(trainer, pl_module, step)
        elif step in plan.evaluations and plan.views:
            self._evaluate(trainer, pl_module, step, plan.views)
            self.clock.start()
            self.times.resume(step)

    def _evaluate(self, trainer: pl.Trainer, system: pl.LightningModule, step: int, views: int | None) -> int:
        seconds = self.clock.pause()
        self._note_memory()
        psnr, count = held_out_psnr(trainer, system, views)
        self.curve.append({"step": step, "seconds": rounded(seconds), "psnr": rounded(psnr), **_logged(system)})
        progress(f"step {step}: {seconds:.1f} s of training, {psnr:.2f} dB over {count} views")
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)  # what rendering a view takes is not training
        return count

    def _note_memory(self) -> None:
        if self.device.type == "cuda":
            self._peaks["allocated"] = max(self._peaks["allocated"], torch.cuda.max_memory_allocated(self.device))
            # What an evaluation reserves stays reserved: only what came before the first one is the training's own.
            self._peaks["reserved"] = self._peaks["reserved"] or torch.cuda.max_memory_reserved(self.device)

    def _finish(self, trainer: pl.Trainer, system: pl.LightningModule, step: int) -> None:
        seconds = self.clock.pause()
        self._note_memory()
        per_step = self.times.per_step()
        self.report = {
            "steps": step,
            "train_seconds": rounded(seconds),
            "ms_per_step": spread(per_step) if per_step else None,
            "command_to_first_step_seconds": rounded(self._first_step),
            "peak_process_memory_mib": peak_memory(torch.device("cpu"))["peak_memory_mib"],
            "stopped_by_time_limit": step < self.plan.last_step,
            **_logged(system),
        }
        if self.device.type == "cuda":
            self.report |= {f"peak_gpu_{name}_mib": round(size / 2**20, 1) for name, size in self._peaks.items()}
        if self.plan.views:
            if step in self.plan.evaluations:  # the curve is of one set of views, the final figure of all
                self._evaluate(trainer, system, step, self.plan.views)
            psnr, count = held_out_psnr(trainer, system, None)
            self.report |= {"curve": self.curve, "psnr": rounded(psnr), "views": count}
            progress(f"step {step}: {psnr:.2f} dB over all {count} held-out views")


def _logged(system: pl.LightningModule) -> dict[str, int | None]:
    """Samples in use and rays of the last step that was logged."""
    values = {name: system.logged.get(f"train/{name}") for name in ("samples", "rays")}
    return {name: None if value is None else int(value) for name, value in values.items()}
