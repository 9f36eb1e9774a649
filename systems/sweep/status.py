"""The status of a task, read from its folder: what is done, what is left, why it failed. Does not import torch."""

import json
import shlex
import sys
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from textwrap import shorten
from typing import Any

from systems.configs import read_experiment
from systems.report.metric_labels import text_of
from systems.runs.recorded_config import read_applied
from systems.sweep.plan import Task
from systems.sweep.runner import ENDED
from utils.config import schema
from utils.config.difference import disagreements
from utils.errors import ConfigError
from utils.files import replacing
from utils.platforms import lock
from utils.registry import ROOT

_LAUNCH = str(ROOT / "launch.py")
_MAX_KEYS = 3  # changed settings that a message lists


class TaskState(StrEnum):
    """The state of a task, with the word for it in tables and in sweep.json."""

    NEW = "new"
    INTERRUPTED = "interrupted"  # it can continue from its folder
    DONE = "done"
    FAILED = "failed"
    RUNNING = "busy"  # another process writes to its folder
    NO_DATA = "no data"
    OTHER_SETTINGS = "other settings"  # its folder holds a run with other settings


@dataclass(frozen=True)
class TaskStatus:
    """The state of a task, and the reason for it."""

    state: TaskState
    reason: str = ""

    def is_open(self, retry: bool) -> bool:
        """Whether the task should be run; retry: failed tasks count too."""
        return self.state in (TaskState.NEW, TaskState.INTERRUPTED) or (retry and self.state is TaskState.FAILED)


def log_path(task: Task) -> Path:
    """The output of launch.py, of all attempts."""
    return task.run.path / "sweep.log"


def evaluation_path(task: Task) -> Path:
    """The file with the metrics of scripts/evaluate.py."""
    return task.run.save / "evaluation.json"


def _failure_path(task: Task) -> Path:
    return task.run.path / "failure.json"


def status_of(task: Task) -> TaskStatus:
    """The status of a task, from what lies in its folder."""
    if is_locked(log_path(task)):
        return TaskStatus(TaskState.RUNNING, f"another process writes to {task.run.path}. Wait for it, or end it.")
    has_begun = task.run.parsed_config.is_file()
    if has_begun and (changed := _changed_settings(task)):
        return TaskStatus(
            TaskState.OTHER_SETTINGS,
            f"{task.run.path} holds a run with other settings: {changed}. Remove that folder, or give the sweep "
            "another name.",
        )
    if reason := read_failure(task):
        return TaskStatus(TaskState.FAILED, reason)
    if is_complete(task):
        return TaskStatus(TaskState.DONE)
    root = getattr(task.experiment.dataset, "root_dir", None)
    if not is_trained(task) and root is not None and not Path(root).exists():
        return TaskStatus(TaskState.NO_DATA, f"dataset.root_dir: {root}: no such folder.")
    return TaskStatus(TaskState.INTERRUPTED if has_begun else TaskState.NEW)


def is_trained(task: Task) -> bool:
    """Whether metrics.json is that of the last step."""
    return task.run.finished_step == task.experiment.trainer.max_steps


def is_complete(task: Task) -> bool:
    """Whether a task is trained and, if the sweep asks for it, evaluated."""
    return is_trained(task) and (not task.evaluate or _is_evaluated(task))


def _is_evaluated(task: Task) -> bool:
    """Whether there is an evaluation that is not older than the metrics of the run."""
    path = evaluation_path(task)
    return path.is_file() and path.stat().st_mtime >= (task.run.save / "metrics.json").stat().st_mtime


def is_locked(log: Path) -> bool:
    """Whether a process that a sweep started still writes to this log."""
    try:
        with open(log, "rb") as file:
            return not lock(file, shared=True)
    except OSError:  # no such file
        return False


def _changed_settings(task: Task) -> str:
    """The keys in which the run on disk has other values, with both values; '' if there are none."""
    try:
        on_disk = read_experiment([task.run.parsed_config], [])
    except ConfigError as error:
        return str(error)
    if on_disk == task.experiment:
        return ""
    applied = read_applied(task.run)  # what the run had to change by itself does not make it another run
    keys = disagreements([schema.to_dict(on_disk), schema.to_dict(task.experiment)])
    keys = {key: values for key, values in keys.items() if key not in applied}
    changes = [f"{key} {_short(there)} there, {_short(here)} here" for key, (there, here) in keys.items()]
    more = [f"and {len(changes) - _MAX_KEYS} more"] if len(changes) > _MAX_KEYS else []
    return ", ".join([*changes[:_MAX_KEYS], *more])


def _short(value: Any) -> str:
    return shorten(text_of(value), 40, placeholder=" …")


def commands(task: Task, gpu: str, exp_dir: Path, runs_dir: Path) -> list[list[str]]:
    """The commands of a task that are left to run, in order.

    A run that was trained but failed afterwards repeats its test pass, and with it the export."""
    left = []
    if not is_trained(task) or read_failure(task):
        if task.run.parsed_config.is_file():
            what = ["--resume", str(task.run.path), "--test" if is_trained(task) else "--train"]
        else:
            what = ["--config", *task.configs, "--train", *task.overrides]
        folders = ["--exp_dir", str(exp_dir), "--runs_dir", str(runs_dir)]
        left.append([sys.executable, _LAUNCH, *what, "--gpu", gpu, *folders])
    if task.evaluate:
        files = ["--pred", str(task.run.path), "--out", str(evaluation_path(task))]
        left.append([sys.executable, str(ROOT / "scripts" / "evaluate.py"), *task.evaluate, *files])
    return left


def record_failure(task: Task, exit_code: int) -> str:
    """Writes into the task's folder that it failed with these settings; returns the reason."""
    content = {"error": last_error(log_path(task)), "exit_code": exit_code, "settings": _digest(task)}
    with replacing(_failure_path(task)) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return content["error"]


def clear_failure(task: Task) -> None:
    """Removes the record of a failure, before the task runs again."""
    _failure_path(task).unlink(missing_ok=True)


def read_failure(task: Task) -> str:
    """Why a task failed with these settings; '' if it did not."""
    try:
        failure = json.loads(_failure_path(task).read_text(encoding="utf-8"))
        return str(failure["error"]) if failure["settings"] == _digest(task) else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _digest(task: Task) -> str:
    words = [schema.to_dict(task.experiment), list(task.evaluate)]
    return sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()


def last_error(log: Path) -> str:
    """Why the last attempt in a log ended: its last line that begins with `error: `, or else its last line."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    start = max((index for index, line in enumerate(lines) if line.startswith("$ ")), default=-1)
    lines = [line for line in lines[start + 1 :] if not line.startswith(ENDED)]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it ended without a message"])[-1].removeprefix("error: ")


def launch_seconds(task: Task) -> float | None:
    """Seconds that launch.py took in all its attempts, of the whole process; None where the log does not tell."""
    found, command = [], ""
    try:
        lines = log_path(task).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("$ "):
            if command:
                return None  # the one before was killed together with what watched it
            command = line
        elif line.startswith(ENDED) and command:
            if f" {shlex.quote(_LAUNCH)} " in command:
                found.append(float(line.removeprefix(ENDED).removesuffix(" s")))
            command = ""
    return sum(found) if found else None
