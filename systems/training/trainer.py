"""Makes the Lightning trainer of an experiment, and writes the metrics of a pass."""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision

from models import ops
from systems.configs import Experiment
from systems.runs import RunFolder, read_figures
from systems.runs.loggers import Curves, Table
from systems.runs.saving import ChecksummedCheckpointIO, DeferSignals, Saver
from systems.runs.verdict import judge
from systems.steps.overhead import Unmeasured
from systems.steps.ranks import SplitRays, environment_of
from systems.training.callbacks import RandomState, TrainingClock
from systems.training.devices import Devices
from systems.training.progress_display import ProgressDisplay
from systems.training.reconstruction import ReconstructionSystem
from utils.environment import describe_environment, peak_memory
from utils.files import BestEffortWrites, replacing
from utils.interrupts import Interrupts
from utils.platforms import on_windows
from utils.stages import Stages

log = logging.getLogger(__name__)


def check_backend(backend: str, device: torch.device) -> None:
    """Raises ConfigError if `model.backend` cannot compute on the device."""
    ops.module("hash", backend, torch.empty(0, device=device))


def make_trainer(
    experiment: Experiment,
    run: RunFolder,
    runs_dir: Path,
    devices: Devices,
    interrupts: Interrupts,
    stages: Stages | None = None,
) -> pl.Trainer:
    """A trainer that logs to TensorBoard and CSV and keeps checkpoints in the run's folder.

    interrupts: signals; they end a training after the current step, once it is saved. If several processes train
    together, only the first one validates, logs and saves. stages: of the run, see `TrainingClock`."""
    config, trial, kept = experiment.trainer, run.path.name, experiment.checkpoint
    saver = Saver(run.ckpt, kept.every_n_train_steps, config.save_every_minutes, kept.save_top_k == -1, interrupts)
    callbacks = [TrainingClock(stages), RandomState(), saver if devices.is_first else DeferSignals(interrupts)]
    if devices.is_first and config.enable_progress_bar:
        callbacks.append(ProgressDisplay())
    loggers = [Curves(runs_dir, name=experiment.name, version=trial), Table(run.path, name="csv_logs")]
    return pl.Trainer(
        accelerator="gpu" if devices.own.type == "cuda" else "cpu",
        devices=list(devices.local) if devices.own.type == "cuda" else len(devices.local),
        num_nodes=devices.nodes,
        **_plugins(experiment, devices),
        max_steps=config.max_steps,
        log_every_n_steps=config.log_every_n_steps,
        val_check_interval=config.val_check_interval,
        check_val_every_n_epoch=None,
        limit_val_batches=1.0 if devices.is_first else 0,
        num_sanity_val_steps=0,
        logger=loggers if devices.is_first else False,
        callbacks=callbacks,
        enable_checkpointing=False,  # Lightning's; `Saver` writes checkpoints
        enable_progress_bar=False,  # Lightning's, which shows each validation pass; `ProgressDisplay` replaces it
        enable_model_summary=False,
        profiler=Unmeasured(),
        default_root_dir=run.path,
    )


def _plugins(experiment: Experiment, devices: Devices) -> dict[str, Any]:
    """Trainer arguments for `trainer.precision`, for writing checkpoints, and for several processes."""
    precision, device = experiment.trainer.precision, devices.own
    plugins: list[Any] = [ChecksummedCheckpointIO()]
    more: dict[str, Any] = {"plugins": plugins}
    if devices.size > 1:
        plugins.append(environment_of(devices.launcher))
        if on_windows():
            os.environ.setdefault("USE_LIBUV", "0")  # torch comes without it there
        has_nccl = device.type == "cuda" and torch.distributed.is_nccl_available()
        more["strategy"] = SplitRays(process_group_backend="nccl" if has_nccl else "gloo")
    if precision == "16" and device.type == "cpu":
        log.info("trainer.precision=16 needs a GPU: the CPU computes in 32 bits")
        precision = "32"
    if precision == "16" and ops.uses_triton(experiment.model.backend, torch.empty(0, device=device)):
        # These kernels keep gradients in 32 bits, which do not underflow: no loss scaling, no skipped steps.
        scaler = torch.amp.GradScaler("cuda", enabled=False)
        plugins.append(MixedPrecision("16-mixed", "cuda", scaler))
        return more
    return more | {"precision": {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}[precision]}


def write_metrics(
    trainer: pl.Trainer,
    system: ReconstructionSystem,
    run: RunFolder,
    devices: Devices,
    mode: str,
    warned: Sequence[str],
) -> dict[str, Any]:
    """Writes save/metrics.json, or save/metrics-<mode>.json after --validate and --predict, and returns its content.

    A later test pass at the same step keeps what it does not measure again, such as the training time.
    warned: the warnings that were logged."""
    path = run.save / ("metrics.json" if mode in ("train", "test") else f"metrics-{mode}.json")
    clock = next(callback for callback in trainer.callbacks if isinstance(callback, TrainingClock))
    report = {**system.report, "steps": system.current_step}
    if mode == "train":
        report |= {"train_views": len(system.data.views("train", system.device).image_names)}
        clock.stages.end("video")
        start = clock.stages.report(until="first_step")
        report |= {"train_seconds": round(clock.seconds, 2), "start_seconds": start}
    report |= peak_memory(devices.own) | {"environment": describe_environment(devices.own), "processes": devices.size}
    earlier = read_figures(path)
    if earlier.get("steps") == report["steps"]:
        report, warned = earlier | report, dict.fromkeys([*earlier.get("warnings", []), *warned])
    report["warnings"] = list(warned)
    if mode in ("train", "test"):
        report["verdict"] = judge(report)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return {**report, "file": str(path)}


def write_stage_seconds(path: Path, stages: Stages) -> None:
    """Adds to metrics.json the seconds of each stage behind the first step, and those of the whole run so far."""
    stages.end("report")
    report = read_figures(path) | {"stage_seconds": stages.report(after="first_step")}
    with BestEffortWrites()("the seconds of the stages"), replacing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
