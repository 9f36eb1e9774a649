"""Tasks start while there is room, one that fails stops none of the others, and a signal ends all."""

import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from small_sweep import finish, tasks_of, write_sweep

from systems.sweep.execution import Execution
from systems.sweep.pool import TaskEnded, TaskStarted
from systems.sweep.status import TaskState, TaskStatus, status_of
from utils.errors import OutputError
from utils.interrupts import Interrupts


class ScriptedPool:
    """A pool in which each poll lets one task start, or the one that runs longest end."""

    on_gpu = False

    def __init__(self, slots: int, codes: dict[str, int | None], before_end: Callable[[str], None]) -> None:
        self.slots, self.codes, self.before_end = slots, codes, before_end
        self.told: list[str] = []
        self.started: list[str] = []
        self.most = 0

    def start(self, name: str, commands: Sequence[Sequence[str]], log_file: Path) -> None:
        assert commands
        log_file.write_text("$ launch\nerror: too dark\n", encoding="utf-8")
        self.told.append(name)
        self.most = max(self.most, len(self.told) + len(self.started))

    def poll(self, seconds: float) -> list[TaskStarted | TaskEnded]:
        if self.told:
            self.started.append(self.told.pop(0))
            return [TaskStarted(self.started[-1], "here")]
        name = self.started.pop(0)
        self.before_end(name)
        code = self.codes.get(name, 0)
        return [TaskEnded(name, code, "" if code is not None else "the machine is gone")]

    def stop(self) -> None:
        for name in self.started:
            self.codes[name] = 143


@pytest.fixture
def tasks(tmp_path):
    return tasks_of(write_sweep(tmp_path))


def execute(tasks, tmp_path, slots=1, interrupts=None, strike_at=None, **codes):
    """Has a pool run all tasks, each ten seconds long; returns it and their statuses."""
    clock, interrupts = [0.0], interrupts or Interrupts()

    def before_end(name: str) -> None:
        clock[0] += 10.0
        if name == strike_at:
            interrupts.received = signal.SIGINT
        elif codes.get(name, 0) == 0:
            finish(tasks[name], psnr=30.0)

    pool = ScriptedPool(slots, dict(codes), before_end)
    statuses = {name: TaskStatus(TaskState.NEW) for name in tasks}
    execution = Execution(pool, tmp_path / "exp", tmp_path / "runs", interrupts, now=lambda: clock[0])
    execution.run(list(tasks.values()), statuses)
    return pool, statuses


@pytest.mark.parametrize("slots", [1, 2, 9])
def test_all_are_run_side_by_side(tasks, tmp_path, slots):
    pool, statuses = execute(tasks, tmp_path, slots)
    assert {status.state for status in statuses.values()} == {TaskState.DONE}
    assert pool.most == min(slots, 4)


def test_one_that_fails_stops_no_other(tasks, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    _, statuses = execute(tasks, tmp_path, **{"cow-plain": 2, "pig-plain": -9, "pig-wide": None})
    states = {name: str(status.state) for name, status in statuses.items()}
    assert states == {
        "cow-plain": "failed",
        "cow-wide": "done",
        "pig-plain": "interrupted",
        "pig-wide": "interrupted",
    }
    assert statuses["cow-plain"].reason == f"too dark ({tmp_path}/exp/pair/cow-plain/sweep.log)"
    assert statuses["pig-plain"].reason.startswith("ended by SIGKILL;")
    assert statuses["pig-wide"].reason.startswith("the machine is gone;")
    assert status_of(tasks["cow-plain"]).state is TaskState.FAILED
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "started  cow-plain on here (1 of 4)"
    assert lines[1].startswith("failed   cow-plain after 10 s: too dark")
    assert lines[3] == "finished cow-wide in 10 s: PSNR in dB 30; 2 left, about 20 s"


def test_an_end_without_figures_is_a_failure(tasks, tmp_path):
    pool = ScriptedPool(1, {}, lambda name: None)
    statuses = {}
    Execution(pool, tmp_path / "exp", tmp_path / "runs", Interrupts()).run([tasks["cow-wide"]], statuses)
    assert statuses["cow-wide"].state is TaskState.FAILED


def test_a_signal_ends_what_runs_and_starts_no_more(tasks, tmp_path):
    pool, statuses = execute(tasks, tmp_path, 2, strike_at="cow-plain", **{"cow-plain": 0})
    assert statuses["cow-wide"].reason == "ended by SIGTERM; the same command continues it"
    assert statuses["pig-wide"].state is TaskState.NEW
    assert pool.most == 2


def test_a_folder_that_cannot_be_written_is_told(tasks, tmp_path):
    (tmp_path / "exp").write_text("a file", encoding="utf-8")
    with pytest.raises(OutputError, match="--exp_dir names another folder"):
        execute(tasks, tmp_path)
