"""compare.py shows what differs between runs, marks what is best, and says what is wrong with what it is given."""

import re

import pytest
from finished_run import write_finished_run

from scripts.compare import main
from systems.report.comparison import metric_rows, setting_rows, shared_views
from systems.report.metric_labels import best_of
from systems.report.results import read_results
from utils.config.schema import REQUIRED


@pytest.fixture
def runs(tmp_path):
    first = write_finished_run(tmp_path / "cow" / "a@1")
    second = write_finished_run(
        tmp_path / "cow" / "b@<2>", "model.radius=1.3", "trial_name=b", psnr=22.25, train_seconds=20.0, num_views=2
    )
    return first, second


def test_two_runs_on_one_page(runs, tmp_path, capsys):
    assert main([*map(str, runs), "--out", str(tmp_path / "both.html")]) == 0
    assert "both.html: 2 runs" in capsys.readouterr().out
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "<h1>cow: 2 runs</h1>" in page
    assert re.findall(r'<div class="clamped">(.*?)<', page)[:3] == ["", "a@1", "b@&lt;2&gt;"]
    assert re.search(r'<tr class="differs"><th scope="row">PSNR</th>\s*<td>20.5</td><td class="best">22.25</td>', page)
    assert re.search(r'<tr><th scope="row">SSIM</th>\s*<td>0.9</td><td>0.9</td>', page)
    assert re.search(r"model.<wbr>radius</th>\s*<td>1.1</td><td>1.3</td>", page)
    assert "trial_name" not in page
    assert page.count("<canvas") == 2
    assert page.count("<polyline") == 2 + 4  # losses; PSNR of training and validation
    assert page.count("data:image/webp") == 2 * (1 + 2 * 2)  # the second run has two views
    assert not re.search(r"https?://|\bfetch\(", page)


def test_figures_that_one_run_lacks_are_dashes():
    lines = {line.name: line for line in metric_rows([{"psnr": 20.0, "mesh": {"faces": 3}}, {"psnr": 20.0}])}
    assert lines["PSNR"].cells == ["20", "20"]
    assert not lines["PSNR"].differs
    assert lines["mesh: faces"].cells == ["3", "–"]
    assert lines["mesh: faces"].differs


def test_the_best_is_highest_or_lowest():
    assert best_of("psnr", [20.0, 22.0, 22.0]) == [1, 2]
    assert best_of("train_seconds", [20.0, 22.0]) == [0]
    assert best_of("mesh_against_gt.fscore_0.5pct", [0.5, 0.4]) == [0]
    assert best_of("mesh.seconds", [3.0, 2.0]) == [1]
    assert best_of("mesh.faces", [3, 2]) == []
    assert best_of("psnr", [20.0, REQUIRED]) == []
    assert best_of("psnr", [20.0, 20.0]) == []


def test_settings_and_environment_that_differ(runs):
    results = [read_results(run) for run in runs]
    results[1].metrics["environment"]["device"] = "GPU"
    keys = {line.name for line in setting_rows(results)}
    assert {"model.radius", "environment.device"} <= keys
    assert "trial_name" not in keys
    assert all(key.startswith("model.") or key == "environment.device" for key in keys)


def test_only_views_of_the_same_truth_are_shared(runs):
    first, second = map(read_results, runs)
    assert [view.name for view in shared_views({"a": first, "b": second})] == ["it9-test/000.png", "it9-test/001.png"]
    other = second.metrics["held_out"]["views"]
    other[0] = other[1]
    assert [view.name for view in shared_views({"a": first, "b": second})] == ["it9-test/001.png"]
    other[1] = {"file": "gone.png"}
    assert shared_views({"a": first, "b": second}) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a"], "a: expected at least two runs to compare, got one. Give two or more folders."),
        (["none", "a"], "none: no such folder."),
        (
            ["cow", "a"],
            "cow: holds 2 runs, is none itself. Give one of them: cow/b@",
        ),
        (["a", "a", "--out", "page.txt"], "--out page.txt: expected the name of an HTML file, such as compare.html."),
    ],
)
def test_bad_input_is_one_sentence(runs, tmp_path, monkeypatch, capsys, arguments, expected):
    monkeypatch.chdir(tmp_path)
    names = {"a": "cow/a@1"}
    assert main([names.get(word, word) for word in arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert expected in said.replace("cow/a@1", "a")
    assert not (tmp_path / "compare.html").exists()


def test_the_same_run_twice_has_two_names(runs, tmp_path):
    assert main([str(runs[0]), str(runs[0]), "--out", str(tmp_path / "c.html")]) == 0
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert "a@1 (1)" in page
    assert "a@1 (2)" in page
    assert "<p>Nothing.</p>" in page
