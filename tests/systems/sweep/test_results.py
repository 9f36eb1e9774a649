"""The table of a sweep: figures of tasks, means of what is done, the best in bold, the rest told."""

import json
import math

import pytest
from finished_run import write_finished_run
from small_sweep import finish, tasks_of, write_sweep

from systems.sweep.results import means_of, result_of, results_table, write_results
from systems.sweep.status import TaskState, TaskStatus, evaluation_path

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def rows(tmp_path):
    """Both variants of the cow are done, of the pig only the plain one."""
    tasks = tasks_of(write_sweep(tmp_path))
    made = {"device": "a GPU", "commit": "abc"}
    for name, psnr, seconds in (("cow-plain", 30.0, 8.0), ("cow-wide", 31.0, 9.0), ("pig-plain", 20.0, 4.0)):
        finish(tasks[name], psnr=psnr, ssim=0.9, train_seconds=seconds, environment=made)
    statuses = dict.fromkeys(tasks, TaskStatus(TaskState.DONE)) | {"pig-wide": TaskStatus(TaskState.FAILED, EVIL)}
    return [result_of(task, statuses[name]) for name, task in tasks.items()]


def test_figures_and_means(rows):
    heads, lines = results_table(rows)
    assert heads == ["scene", "variant", "PSNR in dB", "SSIM", "seconds of training", ""]
    assert [[line.name, *line.cells] for line in lines] == [
        ["cow", "plain", "30", "0.9", "8", ""],
        ["cow", "wide", "31", "0.9", "9", ""],
        ["pig", "plain", "20", "0.9", "4", ""],
        ["pig", "wide", "–", "–", "–", "failed"],
        ["mean", "plain", "25", "0.9", "6", ""],
        ["mean", "wide", "31", "0.9", "9", "1 of 2 done"],
    ]
    assert [line.best for line in lines] == [[3], [1], [], [], [], []]  # means of other scenes are no rivals
    assert [line.differs for line in lines] == [False, False, False, True, False, True]


def test_the_best_mean_is_marked_where_all_is_done(rows):
    _, lines = results_table(rows[:2])
    assert [line.best for line in lines[2:]] == [[3], [1]]


def test_a_mean_is_of_figures_that_all_have(tmp_path):
    tasks = tasks_of(write_sweep(tmp_path))
    finish(tasks["cow-plain"], psnr=30.0, mesh_against_gt={"chamfer_permille": 2.0})
    finish(tasks["pig-plain"], psnr=math.inf)
    rows = [result_of(tasks[name], TaskStatus(TaskState.DONE)) for name in ("cow-plain", "pig-plain")]
    assert rows[0].figures == {"psnr": 30.0, "mesh_against_gt.chamfer_permille": 2.0}
    assert rows[1].figures == {}
    assert means_of(rows)[0].figures == {}
    assert results_table(rows)[0][2:] == ["PSNR in dB", "Chamfer distance, ‰ of the diagonal", ""]


def test_figures_of_an_evaluation(tmp_path):
    task = tasks_of(write_sweep(tmp_path, "evaluate: [dtu]\n"))["cow-plain"]
    finish(task, psnr=30.0)
    evaluation_path(task).write_text(json.dumps({"scans": {"24": {"overall": 0.8}}, "mean": {"overall": 0.8}}))
    assert result_of(task, TaskStatus(TaskState.DONE)).figures == {"psnr": 30.0, "evaluation.mean.overall": 0.8}
    evaluation_path(task).write_text("[damaged")
    assert result_of(task, TaskStatus(TaskState.DONE)).figures == {"psnr": 30.0}


def test_nothing_is_shown_of_other_settings_or_of_an_earlier_step(tmp_path):
    task = tasks_of(write_sweep(tmp_path))["cow-plain"]
    finish(task, psnr=30.0)
    assert result_of(task, TaskStatus(TaskState.FAILED, "no mesh")).figures == {"psnr": 30.0}
    assert result_of(task, TaskStatus(TaskState.OTHER_SETTINGS, "x")).figures == {}
    finish(task, psnr=30.0, steps=7)
    assert result_of(task, TaskStatus(TaskState.FAILED, "no mesh")).figures == {}


def test_files(rows, tmp_path):
    (tmp_path / "exp/pair/cow-wide/save/report.html").write_text("")
    json_path, md_path, html_path = write_results("pair", tmp_path / "exp" / "pair", rows)
    found = json.loads(json_path.read_text(encoding="utf-8"))
    assert found["tasks"][1]["figures"]["psnr"] == 31.0
    assert found["tasks"][3] | {"run": ""} == {
        "task": "pig-wide", "scene": "pig", "variant": "wide", "seed": None, "state": "failed", "reason": EVIL,
        "run": "", "figures": {}, "environment": {},
    }  # fmt: skip
    assert found["means"][1] == {"variant": "wide", "done": 1, "tasks": 2, "figures": rows[1].figures}
    text = md_path.read_text(encoding="utf-8")
    assert "| cow | wide | **31** | 0.9 | 9 |  |" in text
    assert "Made with a GPU, commit abc." in text
    page = html_path.read_text(encoding="utf-8")
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)" in page
    assert '<td class="best">31</td>' in page
    assert page.count("<a href=") == page.count('<a href="cow-wide/save/report.html">cow-wide</a>') == 1


def test_the_worst_view_that_all_runs_of_a_scene_share(tmp_path):
    tasks = tasks_of(write_sweep(tmp_path))
    for name in ("cow-plain", "cow-wide", "pig-plain"):
        write_finished_run(tasks[name].run.path)
    states = dict.fromkeys(tasks, TaskState.DONE) | {"pig-wide": TaskState.FAILED}
    rows = [result_of(task, TaskStatus(states[name])) for name, task in tasks.items()]
    page = write_results("pair", tmp_path / "exp" / "pair", rows)[2].read_text(encoding="utf-8")
    assert page.count("data:image/webp") == (1 + 2 * 2) + (1 + 2)  # the truth; of each run rendering and error
    assert "<small>cow, it9-test/000.png</small>" in page
    (tasks["pig-plain"].run.save / "it9-test/000.png").write_bytes(b"damaged")
    page = write_results("pair", tmp_path / "exp" / "pair", rows)[2].read_text(encoding="utf-8")
    assert page.count("data:image/webp") == 1 + 2 * 2
