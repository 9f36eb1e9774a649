"""`~` is the home folder wherever a person types a path."""

import ast
from pathlib import Path

import pytest

from datasets.capture.options import CaptureOptions
from scripts.evaluate import evaluate_parser, read_runs
from scripts.prepare import prepare_parser
from scripts.sweep import sweep_parser
from systems.configs import read_experiment
from systems.runs.command_line import parse_args
from utils.config.compose import collect
from utils.registry import ROOT
from utils.terminal.typed_paths import typed_path


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_home_folder_and_all_else(home):
    assert typed_path("~/scan") == home / "scan"
    for text in ("scan/~/a", "./~", "/a/b", "nobody~", "~nobody-has-this-name/a"):
        assert typed_path(text) == Path(text)


def test_flags_of_launch(home):
    flags = ["--train", "--config", "~/a.yaml", "tag=~", "--resume=~/run", "--exp_dir", "~/exp", "--runs_dir=~/runs"]
    args = parse_args(flags)
    assert args.config == [str(home / "a.yaml")]
    assert (args.resume, args.exp_dir, args.runs_dir) == (home / "run", home / "exp", home / "runs")
    assert args.overrides == ["tag=~"]


def test_flags_of_scripts(home):
    args = prepare_parser().parse_args(["~/a.mp4", "b", "~/out", "--masks", "~/masks"])
    assert (args.inputs, args.out) == ([home / "a.mp4", Path("b")], home / "out")
    (home / "masks").mkdir()
    assert CaptureOptions(source=Path("b"), root=args.out, masks=args.masks).mask_folder == home / "masks"
    args = sweep_parser().parse_args(["~/sweep.yaml", "--exp_dir=~/exp"])
    assert (args.sweep, args.exp_dir, args.runs_dir) == (home / "sweep.yaml", home / "exp", Path("runs"))
    args = evaluate_parser().parse_args(["mesh", "--pred", "~/a.ply", "--gt", "b.ply", "~/c.ply"])
    assert (args.pred, args.gt) == (home / "a.ply", [Path("b.ply"), home / "c.ply"])
    assert read_runs(["24=~/a.ply"]) == {24: home / "a.ply"}


def test_every_command_line_has_the_parser_that_knows_it():
    files = [
        ROOT / "launch.py",
        *(file for room in ("scripts", "systems", "benchmarks") for file in ROOT.glob(f"{room}/**/*.py")),
    ]
    assert len(files) > 50
    for file in files:
        names = [
            ast.unparse(node)
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
        ]
        assert not any(name.startswith(("argparse.ArgumentParser(", "ArgumentParser(")) for name in names), file


def test_keys_and_files_of_configs(home):
    (home / "base.yaml").write_text("seed: 7\n")
    (home / "own.yaml").write_text("defaults: [~/base]\ndataset:\n  root_dir: ~/scan\n  region_file: ~/cup.json\n")
    files = ["configs/neus-capture.yaml", "~/own.yaml"]
    experiment = read_experiment(files, ["dataset.scene=~a", "dataset.gt_mesh=[~/a.ply,b.ply]"])
    dataset = experiment.dataset
    assert (dataset.root_dir, dataset.region_file) == (str(home / "scan"), str(home / "cup.json"))
    assert (dataset.scene, dataset.gt_mesh, experiment.seed) == ("~a", (str(home / "a.ply"), "b.ply"), 7)
    assert "~/scan" in str(collect(files)[-1].tree)  # as it is kept in the folder of a run
