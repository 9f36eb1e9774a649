"""What lies on disk tells where a task stands, and what is left of it to be run."""

import os
import sys
from pathlib import Path

import pytest
from small_sweep import begin, finish, tasks_of, write_sweep

from systems.runs.recorded_config import apply_change
from systems.sweep.plan import Task
from systems.sweep.status import (
    TaskState,
    clear_failure,
    commands,
    evaluation_path,
    last_error,
    launch_seconds,
    log_path,
    record_failure,
    status_of,
)
from utils.registry import ROOT


@pytest.fixture
def task(tmp_path):
    return tasks_of(write_sweep(tmp_path))["cow-wide"]


def words(task: Task) -> list[list[str]]:
    """The commands without Python, the files of programs in their place."""
    return [[Path(found[1]).name, *found[2:]] for found in commands(task, "cpu", Path("E"), Path("R"))]


def test_a_task_is_new_then_interrupted_then_done(task):
    assert status_of(task).state is TaskState.NEW
    (command,) = words(task)
    assert command[:4] == ["launch.py", "--config", "configs/neus-demo.yaml", "--train"]
    assert "model.radius=1.3" in command
    assert command[-6:] == ["--gpu", "cpu", "--exp_dir", "E", "--runs_dir", "R"]
    begin(task)
    assert status_of(task).state is TaskState.INTERRUPTED
    assert words(task)[0][:4] == ["launch.py", "--resume", str(task.run.path), "--train"]
    finish(task)
    assert status_of(task).state is TaskState.DONE
    assert words(task) == []
    finish(task, steps=100)  # the figures of an earlier test pass
    assert status_of(task).state is TaskState.INTERRUPTED


def test_other_settings_in_its_folder_are_told(task, tmp_path):
    finish(task)
    other = tasks_of(tmp_path / "sweep.yaml", "trainer.log_every_n_steps=5", "seed=7")["cow-wide"]
    status = status_of(other)
    assert status.state is TaskState.OTHER_SETTINGS
    assert "trainer.log_every_n_steps 50 there, 5 here" in status.reason
    assert "seed 42 there, 7 here" in status.reason
    assert not status.is_open(retry=True)
    task.run.parsed_config.write_text("{", encoding="utf-8")
    assert status_of(task).state is TaskState.OTHER_SETTINGS


def test_what_a_run_had_to_change_itself_makes_it_no_other(task):
    finish(task)
    apply_change(task.run, {"seed": 43})
    assert "seed: 43" in task.run.parsed_config.read_text(encoding="utf-8")
    assert status_of(task).state is TaskState.DONE


def test_missing_data_is_told_unless_the_task_is_done(task, tmp_path):
    os.rmdir(tmp_path / "data" / "cow")
    status = status_of(task)
    assert status.state is TaskState.NO_DATA
    assert f"{tmp_path}/data/cow: no such folder" in status.reason
    finish(task)
    assert status_of(task).state is TaskState.DONE


def test_a_failure_holds_for_its_settings_and_until_it_is_tried_again(task, tmp_path):
    log_path(task).parent.mkdir(parents=True)
    log_path(task).write_text("$ launch.py\nerror: too dark\n", encoding="utf-8")
    assert record_failure(task, 2) == "too dark"
    status = status_of(task)
    assert (status.state, status.reason) == (TaskState.FAILED, "too dark")
    assert (status.is_open(retry=False), status.is_open(retry=True)) == (False, True)
    assert words(task)[0][1] == "--config"
    assert status_of(tasks_of(tmp_path / "sweep.yaml", "seed=7")["cow-wide"]).state is TaskState.NEW
    finish(task)  # trained, but without a mesh
    assert status_of(task).state is TaskState.FAILED
    assert words(task)[0][:4] == ["launch.py", "--resume", str(task.run.path), "--test"]
    clear_failure(task)
    assert status_of(task).state is TaskState.DONE


@pytest.mark.skipif(sys.platform == "win32", reason="locks a file as POSIX does")
def test_a_run_that_somebody_writes_to_is_left_alone(task):
    import fcntl

    log_path(task).parent.mkdir(parents=True)
    with open(log_path(task), "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert status_of(task).state is TaskState.RUNNING
    assert status_of(task).state is TaskState.NEW


def test_an_evaluation_follows_and_is_made_up_for(task, tmp_path):
    finish(task)
    asked = tasks_of(write_sweep(tmp_path, "evaluate: [dtu, --scan, '{scene}', --gt, T]\n"))["cow-wide"]
    assert status_of(asked).state is TaskState.INTERRUPTED
    files = ["--pred", str(task.run.path), "--out", str(evaluation_path(asked))]
    assert words(asked) == [["evaluate.py", "dtu", "--scan", "cow", "--gt", "T", *files]]
    evaluation_path(asked).write_text("{}", encoding="utf-8")
    assert status_of(asked).state is TaskState.DONE
    os.utime(evaluation_path(asked), (0, 0))  # of an earlier mesh
    assert status_of(asked).state is TaskState.INTERRUPTED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$ a\nerror: one\nerror: two\nstopped\n", "two"),
        ("$ a\nerror: old\n$ b\nTraceback\n  line\nRuntimeError: CUDA\n\n", "RuntimeError: CUDA"),
        ("$ a\nerror: old\n$ b\n", "it ended without a message"),
    ],
)
def test_the_last_error_of_the_last_attempt(tmp_path, text, expected):
    (tmp_path / "log").write_text(text, encoding="utf-8")
    assert last_error(tmp_path / "log") == expected


def test_the_seconds_of_launches_are_those_of_all_attempts_without_the_evaluation(task):
    launch, evaluate = (f"$ python {ROOT / name} --x" for name in ("launch.py", "scripts/evaluate.py"))
    log_path(task).parent.mkdir(parents=True)
    assert launch_seconds(task) is None
    log_path(task).write_text(f"{launch}\nsaved\n# ended after 20.5 s\n{launch}\n# ended after 30.0 s\n")
    assert launch_seconds(task) == 50.5
    with log_path(task).open("a", encoding="utf-8") as file:
        file.write(f"{evaluate}\nfigures\n# ended after 7.0 s\n")
    assert launch_seconds(task) == 50.5
    log_path(task).write_text(f"{launch}\n{launch}\n# ended after 30.0 s\n")  # the first one never ended
    assert launch_seconds(task) is None


def test_the_line_of_the_end_is_not_the_error(task):
    log_path(task).parent.mkdir(parents=True)
    log_path(task).write_text("$ python launch.py\nKilled\n# ended after 3.0 s\n", encoding="utf-8")
    assert last_error(log_path(task)) == "Killed"
