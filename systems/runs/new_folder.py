"""The folder of a new run is its own, though another run may begin in the same second; free of torch."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from systems.configs import Experiment
from systems.runs import RunFolder, written_under
from utils.errors import ConfigError


def claim_folder(run: RunFolder, experiment: Experiment, runs_dir: Path) -> tuple[RunFolder, Experiment]:
    """Makes the folder of a new run, and that of its curves for TensorBoard, where neither was there before.

    Returns the run and the experiment with the name that was free: that of `run`, or with -2, -3, ... behind it. Raises
    OutputError if the folder cannot be made."""
    with written_under(run.path, "--exp_dir"):
        run.path.parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        trial = run.path.name if number == 1 else f"{run.path.name}-{number}"
        path = run.path.with_name(trial)
        if _made(path, "--exp_dir"):
            if _made_curves(runs_dir / experiment.name / trial):
                return RunFolder(path), replace(experiment, trial_name=trial)
            path.rmdir()
        number += 1


def _made(path: Path, flag: str) -> bool:
    """Whether the folder is new; no two processes are told so of the same one."""
    with written_under(path, flag):
        try:
            path.mkdir()
        except FileExistsError:
            return False
        return True


def _made_curves(path: Path) -> bool:
    """Likewise; a folder that cannot be made is not what stops a training, which goes on without these curves."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
    except FileExistsError:
        return not path.is_dir()
    except OSError:
        return True
    return True


@contextmanager
def own_folder(
    run: RunFolder, experiment: Experiment, runs_dir: Path, asked: str | None
) -> Iterator[tuple[RunFolder, Experiment]]:
    """The claimed folder of a new run, see `claim_folder`, and after the block no folders that stayed empty.

    asked: `trial_name` as it was given; a run of that name keeps it. Raises ConfigError where it is the name of another
    run, and OutputError."""
    if run.path.name == asked:
        if run.parsed_config.is_file():
            raise ConfigError(
                f"trial_name: {run.path} is the folder of a run already, and a new one would write over its files. "
                f"Give another name, or go on with --resume {run.path}."
            )
        yield run, experiment
        return
    above = [run.path.parent, *run.path.parent.parents, runs_dir / experiment.name, runs_dir, *runs_dir.parents]
    made = [folder for folder in above if not folder.exists()]
    run, experiment = claim_folder(run, experiment, runs_dir)
    try:
        yield run, experiment
    finally:
        for folder in (run.path, runs_dir / experiment.name / run.path.name, *made):
            with contextlib.suppress(OSError):
                folder.rmdir()
