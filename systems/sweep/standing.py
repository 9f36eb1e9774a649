"""What lies in a task's folder already, what is left to do, and why it ended if it failed; free of torch."""

import fcntl
import json
import sys
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from textwrap import shorten
from typing import Any

from systems.configs import read_experiment
from systems.report.figures import text_of
from systems.sweep.plan import Task
from utils.config import schema
from utils.config.difference import disagreements
from utils.errors import ConfigError
from utils.files import replacing
from utils.registry import ROOT

_MAX_TOLD = 3  # keys that differ


class State(StrEnum):
    """Where a task stands."""

    NEW = "new"
    BEGUN = "interrupted"  # there is something to go on from
    DONE = "done"
    FAILED = "failed"
    BUSY = "busy"  # another process is at it
    NO_DATA = "no data"
    OTHER = "other settings"  # in its folder


@dataclass(frozen=True)
class Standing:
    """Where a task stands, and why."""

    state: State
    reason: str = ""

    def is_open(self, retry: bool) -> bool:
        """Whether the task is to be run; retry: those that failed, too."""
        return self.state in (State.NEW, State.BEGUN) or (retry and self.state is State.FAILED)


def log_of(task: Task) -> Path:
    """What launch.py said, of all attempts."""
    return task.run.path / "sweep.log"


def evaluation_of(task: Task) -> Path:
    """The figures of scripts/evaluate.py."""
    return task.run.save / "evaluation.json"


def _failure_of(task: Task) -> Path:
    return task.run.path / "failure.json"


def standing_of(task: Task) -> Standing:
    """Where a task stands, by what lies on disk."""
    if is_held(log_of(task)):
        return Standing(State.BUSY, f"another process writes to {task.run.path}. Wait for it, or end it.")
    begun = task.run.parsed_config.is_file()
    if begun and (different := _differences(task)):
        return Standing(
            State.OTHER,
            f"{task.run.path} holds a run with other settings: {different}. Remove that folder, or give the sweep "
            "another name.",
        )
    if reason := read_failure(task):
        return Standing(State.FAILED, reason)
    if is_complete(task):
        return Standing(State.DONE)
    root = getattr(task.experiment.dataset, "root_dir", None)
    if not is_trained(task) and root is not None and not Path(root).exists():
        return Standing(State.NO_DATA, f"dataset.root_dir: {root}: no such folder.")
    return Standing(State.BEGUN if begun else State.NEW)


def is_trained(task: Task) -> bool:
    """Whether the figures of the last step are there."""
    return task.run.finished_step == task.experiment.trainer.max_steps


def is_complete(task: Task) -> bool:
    """Whether a task is trained and, where that is asked for, evaluated."""
    return is_trained(task) and (not task.evaluate or _is_evaluated(task))


def _is_evaluated(task: Task) -> bool:
    """Whether there are figures that are not older than the mesh that they are of."""
    path = evaluation_of(task)
    return path.is_file() and path.stat().st_mtime >= (task.run.save / "metrics.json").stat().st_mtime


def is_held(log: Path) -> bool:
    """Whether a process that a sweep started has this log open still."""
    try:
        with open(log, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no such file
        return False
    return False


def _differences(task: Task) -> str:
    """In which keys the run on disk has been told something else; '' where in none."""
    try:
        found = read_experiment([task.run.parsed_config], [])
    except ConfigError as error:
        return str(error)
    if found == task.experiment:
        return ""
    keys = disagreements([schema.to_dict(found), schema.to_dict(task.experiment)])
    told = [f"{key} {_short(there)} there, {_short(here)} here" for key, (there, here) in keys.items()]
    more = [f"and {len(told) - _MAX_TOLD} more"] if len(told) > _MAX_TOLD else []
    return ", ".join([*told[:_MAX_TOLD], *more])


def _short(value: Any) -> str:
    return shorten(text_of(value), 40, placeholder=" …")


def commands(task: Task, gpu: str, exp_dir: Path, runs_dir: Path) -> list[list[str]]:
    """What is left to be run of a task, in its order.

    A run that is trained but failed has its test pass again, and with it the export."""
    found = []
    if not is_trained(task) or read_failure(task):
        if task.run.parsed_config.is_file():
            what = ["--resume", str(task.run.path), "--test" if is_trained(task) else "--train"]
        else:
            what = ["--config", *task.configs, "--train", *task.overrides]
        folders = ["--exp_dir", str(exp_dir), "--runs_dir", str(runs_dir)]
        found.append([sys.executable, str(ROOT / "launch.py"), *what, "--gpu", gpu, *folders])
    if task.evaluate:
        files = ["--pred", str(task.run.path), "--out", str(evaluation_of(task))]
        found.append([sys.executable, str(ROOT / "scripts" / "evaluate.py"), *task.evaluate, *files])
    return found


def note_failure(task: Task, exit_code: int) -> str:
    """Keeps that a task failed, for these settings; returns why."""
    content = {"error": last_error(log_of(task)), "exit_code": exit_code, "settings": _digest(task)}
    with replacing(_failure_of(task)) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return content["error"]


def forget_failure(task: Task) -> None:
    """A task that is begun again has not failed."""
    _failure_of(task).unlink(missing_ok=True)


def read_failure(task: Task) -> str:
    """Why a task failed with these settings; '' where it did not."""
    try:
        found = json.loads(_failure_of(task).read_text(encoding="utf-8"))
        return str(found["error"]) if found["settings"] == _digest(task) else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _digest(task: Task) -> str:
    words = [schema.to_dict(task.experiment), list(task.evaluate)]
    return sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def last_error(log: Path) -> str:
    """The line of the last attempt in a log that says why it ended: the last error, or the last line at all."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    begins = max((index for index, line in enumerate(lines) if line.startswith("$ ")), default=-1)
    lines = lines[begins + 1 :]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it ended without a word"])[-1].removeprefix("error: ")
