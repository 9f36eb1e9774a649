"""A run and scripts/evaluate.py measure the same mesh alike."""

import json
from pathlib import Path

import pytest
from shapes import ball

from scripts.evaluate import main
from systems.export.against_truth import compare_with_truth
from systems.report.metric_labels import figure_text, headline
from utils.mesh.files import read_meshes
from utils.mesh.ply import write_ply
from utils.metrics.comparison import Comparison


def test_a_run_and_evaluate_give_the_same_figures_to_the_last_digit(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Comparison.__init__, "__defaults__", (2000, *Comparison.__init__.__defaults__[1:]))  # quicker
    (tmp_path / "run/save").mkdir(parents=True)
    file, truth = tmp_path / "run/save/it10-mc64.ply", tmp_path / "gt.ply"
    write_ply(ball(1.03, 4), file)
    write_ply(ball(1.0, 4), truth)
    of_run = compare_with_truth([file], read_meshes([truth]))
    assert main(["mesh", "--pred", str(tmp_path / "run"), "--gt", str(truth), "--out", str(tmp_path / "x.json")]) == 0
    found, printed = json.loads((tmp_path / "x.json").read_text()), capsys.readouterr().out
    entry = dict(of_run["mesh_against_gt"])
    assert entry.pop("file") == file.name
    shape = {name: entry.pop(name) for name in ("components", "holes", "watertight")}
    assert entry == {name: found[name] for name in entry}
    assert shape.items() <= found["predicted_mesh"].items()
    assert {"samples": 2000, "dense": 8, "seed": 0, "culled": False}.items() <= entry.items()
    assert "sampling: 2000 points on each mesh, measured to 8 times as many; seed 0; the whole meshes" in printed
    shown = dict(headline(of_run))["Chamfer distance, ‰ of the diagonal"]
    assert shown == figure_text(found["chamfer_permille"])


def test_other_sampling_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_ply(ball(1.0, 2), tmp_path / "gt.ply")
    both = ["--pred", str(tmp_path / "gt.ply"), "--gt", str(tmp_path / "gt.ply")]
    sampling = ["--samples", "500", "--dense", "2", "--seed", "3", "--bbox", "-9", "-9", "-9", "0", "9", "9"]
    assert main(["mesh", *both, *sampling]) == 0
    assert "sampling: 500 points on each mesh, measured to 2 times as many; seed 3; parts are culled" in (
        capsys.readouterr().out
    )
