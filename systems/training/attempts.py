"""Trains a run in several attempts: after NaN, out of memory, or a kernel that a card refuses, it goes on from the last
good checkpoint."""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from models.ops.refusals import KernelRefusedError
from systems.configs import Experiment
from systems.runs import RunFolder, run_of
from systems.runs.checkpoints import load_weights, read_checkpoint
from systems.runs.recorded_config import apply_change, changes_since
from systems.runs.saving import Saver
from systems.steps.finite import NotFiniteError
from systems.steps.ranks import leave_with_parent, part
from systems.training.devices import Devices
from systems.training.reconstruction import Data, ReconstructionSystem
from systems.training.trainer import make_trainer
from utils import registry
from utils.config.difference import describe_changes
from utils.errors import ReconstructionError
from utils.files import BestEffortWrites
from utils.interrupts import Interrupts
from utils.memory import free_memory, is_out_of_memory
from utils.stages import Stages

log = logging.getLogger(__name__)
MAX_RETURNS = 3  # to an earlier checkpoint, after NaN or infinity
MAX_HALVINGS = 4  # of the sample budget


@dataclass(frozen=True)
class Job:
    """What the next attempt of a run starts from."""

    experiment: Experiment
    run: RunFolder
    runs_dir: Path
    devices: Devices
    interrupts: Interrupts
    checkpoint: Path | None = None  # None: from scratch
    weights_only: bool = False  # take only the weights of the checkpoint, and start at step 0
    returns: int = 0
    halvings: int = 0
    callbacks: tuple[Callback, ...] = ()  # in addition to those of every training
    stages: Stages = field(default_factory=Stages)  # of the run

    def prepare(self) -> "Attempt":
        """The model with its weights on its device, and a trainer. Raises CheckpointError if the weights do not fit."""
        experiment = self.experiment
        torch.manual_seed(experiment.seed)
        system = registry.build(experiment.system, experiment, registry.build(experiment.model), self.run.save)
        if self.checkpoint is not None:
            step = load_weights(self.checkpoint, system, system.expect, self._changed)
            system.loaded_step = 0 if self.weights_only else step
        trainer = make_trainer(experiment, self.run, self.runs_dir, self.devices, self.interrupts, self.stages)
        trainer.callbacks.extend(self.callbacks)
        return Attempt(system.to(self.devices.own), trainer)

    def _changed(self) -> str:
        """The keys of the model that differ from the config of the run that the checkpoint belongs to."""
        run = run_of(self.checkpoint)
        changed = {} if run is None else changes_since(run, self.experiment)
        return describe_changes({key: values for key, values in changed.items() if key.startswith("model.")})


@dataclass
class Attempt:
    """A model and its trainer; `begin_anew` replaces both after a failure."""

    system: ReconstructionSystem
    trainer: pl.Trainer

    def begin_anew(self, job: Job, data: Data) -> None:
        """Drops the model, the trainer and what they hold on the device, and only then makes those of a job."""
        self.system = self.trainer = data.trainer = None
        for callback in job.callbacks:  # Lightning has hung methods of the model on them, which would keep it
            for name in ("log", "log_dict"):
                vars(callback).pop(name, None)
        free_memory()
        other = job.prepare()
        self.system, self.trainer = other.system, other.trainer

    @property
    def checkpoint_bytes(self) -> int:
        """About the size of a checkpoint on disk: the state of the model, and two moments of each parameter."""
        state = sum(value.numel() * value.element_size() for value in self.system.state_dict().values())
        return state + 2 * sum(parameter.numel() * parameter.element_size() for parameter in self.system.parameters())

    def alone(self, job: Job) -> pl.Trainer:
        """A trainer of this process alone, for the passes after the training; it keeps the loggers and callbacks."""
        if job.devices.size == 1:
            return self.trainer
        self.system.loaded_step = self.system.current_step
        devices = Devices.single(job.devices.own)
        trainer = make_trainer(self.system.experiment, job.run, job.runs_dir, devices, job.interrupts)
        trainer.loggers, trainer.callbacks = self.trainer.loggers, self.trainer.callbacks
        return trainer

    @property
    def saver(self) -> Saver:
        """The callback that writes the checkpoints."""
        return next(callback for callback in self.trainer.callbacks if isinstance(callback, Saver))


@dataclass(frozen=True)
class _Trouble:
    """Why an attempt ended early. The error itself is not kept: it would keep all memory of the attempt alive."""

    text: str
    kind: Literal["not finite", "memory", "kernel"]
    newest: Path | None  # the newest checkpoint that this attempt wrote


def train(job: Job, attempt: Attempt, data: Data) -> None:
    """Trains to the last step, in several attempts if necessary. Raises ReconstructionError if all of them fail."""
    if job.devices.size > 1:
        _train_together(job, attempt, data)
        return
    while (trouble := _fit(job, attempt, data)) is not None:
        job = _after(job, trouble)
        attempt.begin_anew(job, data)


def help_to_train(job: Job, data: Data) -> None:
    """Trains in a process that is not the first one; ends when the first one ends."""
    if job.devices.launcher == "here":
        leave_with_parent()
    attempt = job.prepare()
    attempt.trainer.fit(attempt.system, datamodule=data, ckpt_path=_state(job), weights_only=True)
    part()


def _train_together(job: Job, attempt: Attempt, data: Data) -> None:
    """One attempt. The other processes end with it: nothing tells them to return to an earlier checkpoint."""
    try:
        trouble = _fit(job, attempt, data)
        if trouble is not None:
            if trouble.kind == "kernel":
                raise ReconstructionError(f"{trouble.text}. Train in one process, or with model.backend=reference.")
            behind = "its beginning" if trouble.newest is None else trouble.newest.name
            raise ReconstructionError(
                f"{trouble.text}. Several processes do not return to an earlier state by themselves: go on from "
                f"{behind} with --resume RUN --train, and a lower system.optimizer.args.lr or model.train_num_rays."
            )
    except BaseException as error:
        lost = attempt.trainer.strategy.lost
        attempt.trainer.strategy.end_others()
        if lost is not None and isinstance(error, RuntimeError):
            raise ReconstructionError(
                f"a process that trained along has ended with code {lost}, and no step is taken without it. Go on "
                f"with python launch.py --resume {job.run.path} --train, and the same --gpu or less of it."
            ) from error
        raise
    part()


def _state(job: Job) -> str | None:
    """The checkpoint that a training goes on from, with its optimiser; None if only weights are taken."""
    return None if job.weights_only or job.checkpoint is None else str(job.checkpoint)


def _fit(job: Job, attempt: Attempt, data: Data) -> _Trouble | None:
    trainer = attempt.trainer
    try:
        trainer.fit(attempt.system, datamodule=data, ckpt_path=_state(job), weights_only=True)
        return None
    except NotFiniteError as error:
        return _Trouble(str(error), "not finite", attempt.saver.newest)
    except KernelRefusedError as error:
        return _Trouble(f"step {trainer.global_step}: {error}", "kernel", attempt.saver.newest)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return _Trouble(f"step {trainer.global_step}: out of memory", "memory", attempt.saver.newest)


def _after(job: Job, trouble: _Trouble) -> Job:
    """The job that goes on from the last good checkpoint; logs why. Raises ReconstructionError after too many."""
    if trouble.newest is not None:
        job = replace(job, checkpoint=trouble.newest, weights_only=False)
    behind = 0 if job.checkpoint is None or job.weights_only else read_checkpoint(job.checkpoint)["global_step"]
    if trouble.kind == "kernel":  # it was said, and no kernel of that operation is tried again
        return job
    if trouble.kind == "memory":
        return _with_half(job, trouble, behind)
    if job.returns >= MAX_RETURNS:
        raise ReconstructionError(
            f"{trouble.text}, also after {job.returns} returns to an earlier state. Lower system.optimizer.args.lr, "
            f"set trainer.precision=32, or switch off the loss that is named. The state of step {behind} is good."
        )
    log.warning(
        "%s: going on from step %d, the last good state, with other rays (%d of at most %d times)",
        *(trouble.text, behind, job.returns + 1, MAX_RETURNS),
    )
    other = replace(job.experiment, seed=job.experiment.seed + 1)
    _keep(job.run, {"seed": other.seed})
    return replace(job, experiment=other, returns=job.returns + 1)


def _with_half(job: Job, trouble: _Trouble, behind: int) -> Job:
    model = job.experiment.model
    if job.halvings >= MAX_HALVINGS or model.train_num_rays < 2:
        raise ReconstructionError(
            f"{trouble.text}, even with model.train_num_rays={model.train_num_rays}. Free memory of the device, or "
            "lower model.num_samples_per_ray or the log2_hashmap_size of the encoding."
        )
    half = {"train_num_rays": model.train_num_rays // 2, "max_train_num_rays": max(model.max_train_num_rays // 2, 1)}
    told = ", ".join(f"model.{name}={value}" for name, value in half.items())
    log.warning("%s: going on from step %d with half of the sample budget, %s", trouble.text, behind, told)
    smaller = replace(job.experiment, model=replace(model, **half))
    _keep(job.run, {f"model.{name}": value for name, value in half.items()})
    return replace(job, experiment=smaller, halvings=job.halvings + 1)


def keep_halved(run: RunFolder, system: ReconstructionSystem) -> None:
    """Writes into the run's config the sizes that views and mesh had to halve where memory ran out."""
    experiment, mesh = system.experiment, system.report.get("mesh", {})
    used = {"model.ray_chunk": system.model.config.ray_chunk}
    used["export.chunk_size"] = mesh.get("chunk_size", experiment.export.chunk_size)
    usual = {"model.ray_chunk": experiment.model.ray_chunk, "export.chunk_size": experiment.export.chunk_size}
    if halved := {name: size for name, size in used.items() if size < usual[name]}:
        _keep(run, halved)


def _keep(run: RunFolder, changes: dict[str, Any]) -> None:
    """Writes changes into the run's config, so that a resumed run has them too."""
    with BestEffortWrites()("config/applied.yaml"):
        apply_change(run, changes)
