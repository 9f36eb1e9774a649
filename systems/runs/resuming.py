"""Where a run goes on after --resume, with which configuration, and the command that goes on after it was stopped.

Free of torch until a checkpoint is read."""

import logging
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from systems.configs import Experiment
from systems.runs import RunFolder, checkpoints_in, find_checkpoint, new_trial, resumed_run, run_of, step_of
from systems.runs.recorded_config import check_start_values, config_files, in_folder
from systems.runs.seal import is_whole
from utils.config.compose import find_config
from utils.errors import CheckpointError, ConfigError, OutputError
from utils.files import remedy
from utils.interrupts import Stopped

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """What a run starts from: nothing, or a checkpoint."""

    checkpoint: Path | None = None
    step: int = 0  # of the checkpoint; 0 if only its weights are taken
    run: RunFolder | None = None  # the run that goes on; None for a new one


def find_start(path: Path | None, trains: bool, weights_only: bool) -> Start:
    """The newest undamaged checkpoint of --resume; warns about damaged ones that it passes over.

    A run that ended before its first checkpoint begins anew in its folder. Raises CheckpointError."""
    from systems.runs.checkpoints import read_newest

    if path is None:
        return Start()
    checkpoints = checkpoints_in(path) if path.is_dir() else [find_checkpoint(path)]
    folder = RunFolder(path)
    if not checkpoints and trains and not weights_only and folder.parsed_config.is_file():
        return Start(run=folder)
    checkpoint, content = read_newest(checkpoints or [find_checkpoint(path)])
    if weights_only:
        return Start(checkpoint)
    return Start(checkpoint, content["global_step"], run_of(checkpoint))


def config_paths(given: Sequence[str], resumed: Path | None) -> list[str | Path]:
    """The YAML files of a command line: those of --config, else those of the run that --resume names.

    Raises ConfigError where there are none."""
    if given:
        return [find_config(path) for path in given]
    if resumed is None:
        raise ConfigError("command line: no config. Give one as --config configs/neus-blender.yaml.")
    run = resumed_run(resumed)
    if run is None:
        raise ConfigError(f"--resume {resumed}: no config/parsed.yaml beside it; give the YAML with --config.")
    return list(config_files(run))


def place_run(
    start: Start, experiment: Experiment, exp_dir: Path, overrides: Sequence[str], trains: bool
) -> tuple[RunFolder, Experiment]:
    """The folder of the run, an older or a new one, and the experiment with the names of that folder.

    Raises ConfigError for an override that has no effect on a run that goes on, CheckpointError for a training of one
    that has nothing left to do."""
    trained = None if start.checkpoint is None else run_of(start.checkpoint)
    if trained is not None:
        check_start_values(trained, experiment)
    if trains:
        _check_steps_left(start, experiment.trainer.max_steps)
    if start.run is not None:
        return start.run, in_folder(start.run, experiment, overrides)
    trial = experiment.trial_name
    if trial is None or (trained is not None and RunFolder(exp_dir / experiment.name / trial).parsed_config.is_file()):
        trial = new_trial(experiment.tag)  # with the weights of a run, not in its place
    return RunFolder(exp_dir / experiment.name / trial), replace(experiment, trial_name=trial)


def refuse_finished(path: Path, max_steps: int) -> None:
    """Raises CheckpointError for a training that has nothing left to do, before torch is imported: as far as the name
    of the newest checkpoint of --resume tells it, if that is whole."""
    for checkpoint in checkpoints_in(path)[:1] if path.is_dir() else [find_checkpoint(path)]:
        if (run := run_of(checkpoint)) is not None and step_of(checkpoint) >= max_steps and is_whole(checkpoint):
            _check_steps_left(Start(checkpoint, step_of(checkpoint), run), max_steps)


def _check_steps_left(start: Start, max_steps: int) -> None:
    """Raises CheckpointError for a training that has nothing left to do, or whose end lies before its start."""
    if start.step > max_steps:
        raise CheckpointError(
            f"{start.checkpoint}: is at step {start.step}, beyond trainer.max_steps={max_steps}. Raise "
            f"trainer.max_steps, go on from an earlier checkpoint with --resume CKPT, or export this one with --test."
        )
    if start.step == max_steps and start.run is not None and start.run.finished_step == start.step:
        raise CheckpointError(
            f"{start.checkpoint}: is at step {start.step}, trainer.max_steps is {max_steps}: nothing is left to "
            f"train. Raise trainer.max_steps, or use --test to export again."
        )


def command_to_go_on(argv: Sequence[str], run: RunFolder, is_new: bool) -> str:
    """The command that goes on with a run. The folder of a new run holds its configs and overrides already."""
    parts = [word.split("=", 1) if word.startswith("--") else [word] for word in argv]  # --gpu=1 is --gpu 1
    words = [word for part in parts for word in part if word != "--resume_weights_only"]
    if "--resume" in words and not is_new:
        words[words.index("--resume") + 1] = str(run.path)
        return f"python launch.py {shlex.join(words)}"
    kept = ["--resume", str(run.path), *(word for word in words if word in ("--train", "--verbose"))]
    for flag in ("--gpu", "--runs_dir"):
        kept += [flag, words[words.index(flag) + 1]] if flag in words else []
    return f"python launch.py {shlex.join(kept)}"


@contextmanager
def going_on_told(argv: Sequence[str], run: RunFolder, is_new: bool) -> Iterator[None]:
    """If a signal or the disk ends the block: logs which checkpoint is there and the command that goes on."""
    try:
        yield
    except Stopped:
        newest = next((path.name for path in checkpoints_in(run.path)), None)
        if run.parsed_config.is_file():
            state = f"the newest checkpoint is {newest}" if newest else "there is no checkpoint yet, so it begins anew"
            log.warning("stopped; %s. Go on with: %s", state, command_to_go_on(argv, run, is_new))
        raise
    except OSError as error:
        hint = remedy(error)
        if hint is None:
            raise
        told = f" Then: {command_to_go_on(argv, run, is_new)}" if run.parsed_config.is_file() else ""
        raise OutputError(
            f"{error.filename or run.path}: cannot be written ({error.strerror}). {hint}{told}"
        ) from error
