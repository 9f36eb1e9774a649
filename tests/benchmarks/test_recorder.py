"""The clock that pauses, times per step, thresholds, and that an evaluation leaves no trace in the training."""

import time
from collections.abc import Sequence
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from benchmarks.experiments import train
from benchmarks.recorder import PausableClock, Plan, Recorder, StepTimes, evaluation_steps, reached
from models.base import VolumeModel
from systems.configs import Experiment
from systems.steps.step import view_background
from systems.training.evaluation import evaluate_view

CPU = torch.device("cpu")


class Moments:
    """A clock whose hands are set by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_the_clock_counts_only_while_it_runs() -> None:
    moments, settled = Moments(), []
    clock = PausableClock(lambda: settled.append(moments.at), moments)
    moments.at = 5.0
    assert (clock.seconds(), clock.running, settled) == (0.0, False, [])
    clock.start()
    moments.at = 7.0
    clock.start()  # a second start changes nothing
    assert clock.seconds() == 2.0
    assert clock.pause() == 2.0
    moments.at = 100.0
    assert (clock.pause(), clock.seconds(), clock.running) == (2.0, 2.0, False)
    clock.start()
    moments.at = 101.5
    assert clock.pause() == 3.5
    assert settled == [5.0, 7.0, 7.0, 100.0, 101.5]  # work in the queue is waited for at each reading


def test_the_clock_counts_work_that_is_still_in_the_queue() -> None:
    moments = Moments()

    def settle() -> None:
        moments.at += 1.0  # what was queued takes a second

    clock = PausableClock(settle, moments)
    clock.start()
    assert clock.pause() == 1.0


def test_times_per_step_leave_out_the_warm_up_and_pauses() -> None:
    moments = Moments()
    times = StepTimes(CPU, window=2, warm=4, now=moments)
    for step in range(1, 13):
        moments.at += 1.0 if step <= 4 else 0.1
        times.mark(step)
        if step in (8, 9):  # in between windows, and within one
            moments.at += 50.0
            times.resume(step)
    assert times.per_step() == pytest.approx([100.0, 100.0, 100.0])  # 4-6, 6-8, 10-12; 8-10 was interrupted


def test_one_number_is_an_interval_and_several_are_steps() -> None:
    assert evaluation_steps([10], 35) == {10, 20, 30}
    assert evaluation_steps([5, 7, 99], 35) == {5, 7}
    assert evaluation_steps([50], 35) == frozenset()


def test_a_threshold_is_reached_at_the_first_evaluation_that_has_it() -> None:
    curve = [{"step": 10 * n, "seconds": float(n), "psnr": psnr} for n, psnr in enumerate([20.0, 25.0, 24.0, 26.0], 1)]
    assert reached(curve, [25.0, 25.5, 30.0]) == [
        {"psnr": 25.0, "step": 20, "seconds": 2.0},
        {"psnr": 25.5, "step": 40, "seconds": 4.0},
        {"psnr": 30.0, "step": None, "seconds": None},
    ]
    assert reached([], [1.0]) == [{"psnr": 1.0, "step": None, "seconds": None}]


class Keep(Callback):
    """Keeps the weights and, as the test pass measures it, the PSNR of each held-out view at the end."""

    def on_validation_start(self, *args: Any) -> None:
        pytest.fail("a benchmark evaluates on its own")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        model: VolumeModel = pl_module.model
        self.weights = {name: value.clone() for name, value in pl_module.state_dict().items()}
        model.on_step(pl_module.current_step)
        views = trainer.datamodule.views("test", CPU)
        background = view_background(pl_module.experiment.model, CPU)
        batches = [(views.image(index, background), views.size(index)) for index in range(len(views))]
        self.psnr = [evaluate_view(model, *batch).metrics["psnr"] for batch in batches]
        self.steps = trainer.global_step


def trained(experiment: Experiment, evaluations: Sequence[int], **changed: Any) -> tuple[Keep, Recorder]:
    keep = Keep()
    recorder = Recorder(
        Plan(**{"last_step": 12, "views": 1, "window": 1, "warm": 3, **changed}, evaluations=frozenset(evaluations)),
        CPU,
    )
    train(experiment, CPU, [recorder, keep])
    return keep, recorder


def test_an_evaluation_leaves_no_trace_and_measures_what_the_test_pass_does(experiment: Experiment) -> None:
    started = time.perf_counter()
    watched, recorder = trained(experiment, (3, 6, 12))
    took = time.perf_counter() - started
    plain, _ = trained(experiment, (), views=0)
    assert watched.weights.keys() == plain.weights.keys()
    for name, value in plain.weights.items():
        assert torch.equal(value, watched.weights[name]), name
    report = recorder.report
    assert [point["step"] for point in report["curve"]] == [3, 6, 12]
    assert report["psnr"] == pytest.approx(sum(watched.psnr) / len(watched.psnr), abs=1e-3)
    assert report["curve"][-1]["psnr"] == pytest.approx(watched.psnr[0], abs=1e-3)
    assert report["views"] == len(watched.psnr) == 2
    seconds = [point["seconds"] for point in report["curve"]]
    assert 0.0 < seconds[0] < seconds[1] < seconds[2] == report["train_seconds"] < took
    assert report["ms_per_step"]["num"] == 9
    assert report["samples"] > 0
    assert report["rays"] > 0
    assert not report["stopped_by_time_limit"]


def test_the_time_limit_ends_the_training_after_a_step(experiment: Experiment) -> None:
    keep, recorder = trained(experiment, (3,), views=0, deadline=time.monotonic())
    assert keep.steps == recorder.report["steps"] == 1
    assert recorder.report["stopped_by_time_limit"]
    assert recorder.report["ms_per_step"] is None
    assert "curve" not in recorder.report
