"""A row for each scene and lever: medians and spreads of what is done, and the names of what is not."""

import json

import pytest
from small_sweep import finish, tasks_of, write_sweep

from benchmarks.truth.table import figures_of, rows_of, table_of
from systems.sweep.status import TaskState, TaskStatus, evaluation_path, log_path
from utils.registry import ROOT


def judged(task, chamfer, **metrics):
    """Leaves what a run does that was judged."""
    finish(task, **metrics)
    figures = {"chamfer_permille": chamfer, "accuracy": 1e-3 * chamfer, "completeness": 2e-3, "noise_floor": 4e-4}
    figures |= {"fscore_1pct": 0.99123, "fscore_0.5pct": 0.9, "normal_degrees": 5.0, "threshold_1pct": 0.01}
    evaluation_path(task).write_text(json.dumps(figures), encoding="utf-8")
    log_path(task).write_text(f"$ python {ROOT / 'launch.py'} --train\n# ended after 90.0 s\n", encoding="utf-8")


@pytest.fixture
def tasks(tmp_path):
    return tasks_of(write_sweep(tmp_path, "seeds: [1, 2, 3]\nevaluate: [mesh, --gt, x.ply]\n"))


@pytest.fixture
def rows(tasks):
    """All of the cow's plain runs are done, two of its wide ones, and none of the pig's."""
    statuses = dict.fromkeys(tasks, TaskStatus(TaskState.NEW))
    for seed, chamfer in ((1, 1.5), (2, 1.2), (3, 1.9)):
        judged(tasks[f"cow-plain-seed{seed}"], chamfer, psnr=30.0 + seed, psnr_inside=27.0, train_seconds=70.0)
        statuses[f"cow-plain-seed{seed}"] = TaskStatus(TaskState.DONE)
    for seed in (1, 3):
        judged(tasks[f"cow-wide-seed{seed}"], 1.1 * seed, psnr=29.0, train_seconds=60.0)
        statuses[f"cow-wide-seed{seed}"] = TaskStatus(TaskState.DONE)
    judged(tasks["cow-wide-seed2"], 99.0)  # figures of a run that failed afterwards count for nothing
    statuses["cow-wide-seed2"] = TaskStatus(TaskState.FAILED, "too dark")
    return rows_of(tasks.values(), statuses, {"hen": "no photographs"})


def test_figures_of_a_run_come_in_the_units_of_the_table(tasks):
    judged(tasks["cow-plain-seed1"], 1.5, psnr=31.0, train_seconds=70.0)
    assert figures_of(tasks["cow-plain-seed1"]) == {
        "chamfer_permille": 1.5, "accuracy_permille": 1.5, "completeness_permille": 2.0, "fscore_1pct": 0.99123,
        "fscore_0.5pct": 0.9, "normal_degrees": 5.0, "psnr": 31.0, "train_seconds": 70.0, "launch_seconds": 90.0,
        "noise_floor_permille": 0.4,
    }  # fmt: skip


def test_seeds_become_a_median_and_a_spread(rows):
    plain, wide = rows[:2]
    assert (plain["scene"], plain["lever"], plain["done"], plain["of"]) == ("cow", "plain", 3, 3)
    assert (plain["median"]["chamfer_permille"], plain["spread"]["chamfer_permille"]) == (1.5, 0.7)
    assert (plain["median"]["psnr"], plain["spread"]["psnr"]) == (32.0, 2.0)
    assert [run["seed"] for run in plain["runs"]] == [1, 2, 3]
    assert (wide["done"], wide["of"]) == (2, 3)
    assert (wide["median"]["chamfer_permille"], wide["spread"]["chamfer_permille"]) == (2.2, 2.2)


def test_what_is_not_done_is_named(rows):
    lines = table_of(rows).splitlines()
    assert lines[2].startswith("| cow | plain | 3 of 3 | 1.5 (0.7) | 1.5 (0.7) | 2 (0) | 0.9912 (0) |")
    assert lines[3].startswith("| cow | wide | 2 of 3 | 2.2 (2.2) |")
    assert lines[4].startswith("| pig | plain | 0 of 3 | – |")
    assert "- cow-wide-seed2: failed: too dark" in lines
    assert "- pig-wide-seed3: new" in lines
    assert "- hen: no photographs" in lines
    assert not any(line.startswith("- cow-plain") for line in lines)


def test_one_seed_has_no_spread_and_a_scene_without_truth_its_views(tmp_path):
    tasks = tasks_of(write_sweep(tmp_path))
    finish(tasks["cow-plain"], psnr=31.0)
    statuses = {"cow-plain": TaskStatus(TaskState.DONE)}
    rows = rows_of([tasks["cow-plain"]], statuses, {})
    assert table_of(rows).splitlines() == [
        "| scene | lever | runs | PSNR, dB |",
        "| --- | ---: | ---: | ---: |",
        "| cow | plain | 1 of 1 | 31 |",
    ]


def test_rows_are_plain_values(rows):
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
