"""What lies on disk tells where a task stands, and what is left of it to be run."""

import fcntl
import os
from pathlib import Path

import pytest
from small_sweep import begin, finish, tasks_of, write_sweep

from systems.sweep.plan import Task
from systems.sweep.standing import (
    State,
    commands,
    evaluation_of,
    forget_failure,
    last_error,
    log_of,
    note_failure,
    standing_of,
)


@pytest.fixture
def task(tmp_path):
    return tasks_of(write_sweep(tmp_path))["cow-wide"]


def words(task: Task) -> list[list[str]]:
    """The commands without Python, the files of programs in their place."""
    return [[Path(found[1]).name, *found[2:]] for found in commands(task, "cpu", Path("E"), Path("R"))]


def test_a_task_is_new_then_interrupted_then_done(task):
    assert standing_of(task).state is State.NEW
    (command,) = words(task)
    assert command[:4] == ["launch.py", "--config", "configs/neus-demo.yaml", "--train"]
    assert "model.radius=1.3" in command
    assert command[-6:] == ["--gpu", "cpu", "--exp_dir", "E", "--runs_dir", "R"]
    begin(task)
    assert standing_of(task).state is State.BEGUN
    assert words(task)[0][:4] == ["launch.py", "--resume", str(task.run.path), "--train"]
    finish(task)
    assert standing_of(task).state is State.DONE
    assert words(task) == []
    finish(task, steps=100)  # the figures of an earlier test pass
    assert standing_of(task).state is State.BEGUN


def test_other_settings_in_its_folder_are_told(task, tmp_path):
    finish(task)
    other = tasks_of(tmp_path / "sweep.yaml", "trainer.log_every_n_steps=5", "seed=7")["cow-wide"]
    standing = standing_of(other)
    assert standing.state is State.OTHER
    assert "trainer.log_every_n_steps 50 there, 5 here" in standing.reason
    assert "seed 42 there, 7 here" in standing.reason
    assert not standing.is_open(retry=True)
    task.run.parsed_config.write_text("{", encoding="utf-8")
    assert standing_of(task).state is State.OTHER


def test_missing_data_is_told_unless_the_task_is_done(task, tmp_path):
    os.rmdir(tmp_path / "data" / "cow")
    standing = standing_of(task)
    assert standing.state is State.NO_DATA
    assert f"{tmp_path}/data/cow: no such folder" in standing.reason
    finish(task)
    assert standing_of(task).state is State.DONE


def test_a_failure_holds_for_its_settings_and_until_it_is_tried_again(task, tmp_path):
    log_of(task).parent.mkdir(parents=True)
    log_of(task).write_text("$ launch.py\nerror: too dark\n", encoding="utf-8")
    assert note_failure(task, 2) == "too dark"
    standing = standing_of(task)
    assert (standing.state, standing.reason) == (State.FAILED, "too dark")
    assert (standing.is_open(retry=False), standing.is_open(retry=True)) == (False, True)
    assert words(task)[0][1] == "--config"
    assert standing_of(tasks_of(tmp_path / "sweep.yaml", "seed=7")["cow-wide"]).state is State.NEW
    finish(task)  # trained, but without a mesh
    assert standing_of(task).state is State.FAILED
    assert words(task)[0][:4] == ["launch.py", "--resume", str(task.run.path), "--test"]
    forget_failure(task)
    assert standing_of(task).state is State.DONE


def test_a_run_that_somebody_writes_to_is_left_alone(task):
    log_of(task).parent.mkdir(parents=True)
    with open(log_of(task), "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert standing_of(task).state is State.BUSY
    assert standing_of(task).state is State.NEW


def test_an_evaluation_follows_and_is_made_up_for(task, tmp_path):
    finish(task)
    asked = tasks_of(write_sweep(tmp_path, "evaluate: [dtu, --scan, '{scene}', --gt, T]\n"))["cow-wide"]
    assert standing_of(asked).state is State.BEGUN
    files = ["--pred", str(task.run.path), "--out", str(evaluation_of(asked))]
    assert words(asked) == [["evaluate.py", "dtu", "--scan", "cow", "--gt", "T", *files]]
    evaluation_of(asked).write_text("{}", encoding="utf-8")
    assert standing_of(asked).state is State.DONE
    os.utime(evaluation_of(asked), (0, 0))  # of an earlier mesh
    assert standing_of(asked).state is State.BEGUN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$ a\nerror: one\nerror: two\nstopped\n", "two"),
        ("$ a\nerror: old\n$ b\nTraceback\n  line\nRuntimeError: CUDA\n\n", "RuntimeError: CUDA"),
        ("$ a\nerror: old\n$ b\n", "it ended without a word"),
    ],
)
def test_the_last_error_of_the_last_attempt(tmp_path, text, expected):
    (tmp_path / "log").write_text(text, encoding="utf-8")
    assert last_error(tmp_path / "log") == expected
