"""Scenes by levers by seeds: prepared, run, judged in the frame of the truth, taken up again; what fails is named."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from shapes import ball
from sphere_scene import RADIUS, write_sphere_scene
from struck_runs import STEPS, TINY
from truth_on_disk import write_prepared, write_set

from benchmarks import photographs_with_truth as benchmark
from benchmarks.common import run_command
from benchmarks.photographs_with_truth import SWEEP, Place, tasks_of, work
from benchmarks.truth import errors, preparation
from scripts import evaluate
from systems.configs import read_experiment
from systems.sweep.plan import read_sweep
from systems.sweep.pool import TaskEnded, TaskStarted
from utils.config import schema
from utils.mesh.ply import write_ply

TEXT = """
name: small
config: configs/neus-demo.yaml
scenes:
  cup: {config: configs/neus-capture.yaml}
  sphere:
  views:
variants:
  none: {}
  eikonal: {overrides: {system.loss.lambda_eikonal: 0.03}}
seeds: [1, 2]
"""


class Launches:
    """A pool that does at once what launch.py would leave behind, and evaluates for real.

    The mesh is the true ball in the frame of the cameras, larger by a hundredth for each seed."""

    slots, on_gpu = 1, False

    def __init__(self, fails: Sequence[str] = ()) -> None:
        self.fails, self.events, self.ran = fails, [], []

    def start(self, name: str, commands: Sequence[Sequence[str]], log_file: Path) -> None:
        self.ran.append(name)
        code = 2 if name in self.fails else 0
        with log_file.open("a", encoding="utf-8") as log:
            for command in commands:
                log.write(f"$ {shlex.join(command)}\n{'error: too dark' if code else 'done'}\n# ended after 9.0 s\n")
        for command in commands if code == 0 else ():
            if command[1].endswith("launch.py"):
                self._launch(command, log_file.parent)
            else:
                assert evaluate.main([*command[2:], "--samples", "20000"]) == 0
        self.events += [TaskStarted(name, "here"), TaskEnded(name, code)]

    def _launch(self, command: Sequence[str], run: Path) -> None:
        trained, ended = command.index("--train"), command.index("--gpu")
        experiment = read_experiment(command[command.index("--config") + 1 : trained], command[trained + 1 : ended])
        for folder in (run / "config", run / "save"):
            folder.mkdir(parents=True)
        (run / "config/parsed.yaml").write_text(OmegaConf.to_yaml(schema.to_dict(experiment)), encoding="utf-8")
        write_ply(ball(RADIUS * (1.0 + 0.01 * experiment.seed), 4), run / "save" / "it9-mc9.ply")
        figures = {"steps": experiment.trainer.max_steps, "psnr": 30.0, "train_seconds": 5.0}
        (run / "save/metrics.json").write_text(json.dumps(figures), encoding="utf-8")

    def poll(self, seconds: float) -> list[TaskStarted | TaskEnded]:
        events, self.events = self.events, []
        return events

    def stop(self) -> None:
        self.events = []

    def close(self) -> None:
        self.events = []


@pytest.fixture
def pools(monkeypatch):
    """Every pool that the benchmark asks for; those to come fail at the tasks that the first list names."""
    fails, made = [], []
    monkeypatch.setattr(benchmark, "RayPool", lambda *_: made.append(Launches(tuple(fails))) or made[-1])
    return fails, made


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A set of photographs, a dataset with a true mesh in its own frame, and one without truth."""
    monkeypatch.setattr(preparation, "run_script", lambda command, log: write_prepared(Path(command[2])) or 1.0)
    write_set(tmp_path / "cup")
    for name in ("sphere", "views"):
        write_sphere_scene(tmp_path / name)
    write_ply(ball(RADIUS, 4), tmp_path / "sphere/gt_mesh.ply")
    (tmp_path / "small.yaml").write_text(TEXT, encoding="utf-8")
    return [str(tmp_path / name) for name in ("cup", "sphere", "views")]


def argv(tmp_path, *more):
    out = ["--work", str(tmp_path / "work"), "--sweep", str(tmp_path / "small.yaml"), "--out", str(tmp_path / "r.json")]
    return [*out, "--device", "cpu", *more]


def result(tmp_path):
    return json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))


def test_each_scene_is_judged_by_its_truth(tmp_path, folders, pools, capsys):
    assert work(argv(tmp_path, *folders)) == 0
    found = result(tmp_path)
    rows = {(row["scene"], row["lever"]): row for row in found["rows"]}
    assert len(rows) == 3 * 2
    error = 1e3 * 0.015 / (2.0 * np.sqrt(3.0))  # per mille of the box of a ball: the median of both seeds
    for scene in ("cup", "sphere"):  # the frame of the cup's cameras has another unit and origin
        median, spread = (rows[scene, "eikonal"][name] for name in ("median", "spread"))
        assert median["chamfer_permille"] == pytest.approx(error, rel=0.1)
        assert spread["chamfer_permille"] == pytest.approx(error / 1.5, rel=0.1)
        assert median["normal_degrees"] < 5.0
        assert median["launch_seconds"] == 9.0
    assert set(rows["views", "none"]["median"]) == {"psnr", "train_seconds", "launch_seconds"}
    assert (found["prepared"]["cup"]["cameras"], found["benchmark"]) == (8, "photographs_with_truth")
    assert {"command", "date", "environment"} <= found.keys()
    assert str(tmp_path) not in json.dumps(found)
    assert "| views | eikonal | 2 of 2 | – |" in capsys.readouterr().out


def test_what_is_done_is_taken_up_and_what_failed_is_named(tmp_path, folders, pools, capsys):
    fails, made = pools
    fails.append("sphere-none-seed2")
    assert work(argv(tmp_path, folders[1])) == 1
    assert "- sphere-none-seed2: failed: too dark" in capsys.readouterr().out
    assert work(argv(tmp_path, folders[1])) == 1
    assert [len(pool.ran) for pool in made] == [4]  # a failed run waits until it is asked for
    fails.clear()
    assert work(argv(tmp_path, folders[1], "--retry")) == 0
    assert made[-1].ran == ["sphere-none-seed2"]
    assert [row["done"] for row in result(tmp_path)["rows"]] == [2, 2]


def test_a_set_that_cannot_be_prepared_stops_no_other(tmp_path, folders, pools, capsys):
    (tmp_path / "cup/gt_cameras.json").write_text("{}", encoding="utf-8")
    assert work(argv(tmp_path, *folders[:2], "--levers", "none", "--seeds", "1", "2", "3")) == 1
    out = capsys.readouterr().out
    assert re.search(r"^- cup: .*gt_cameras\.json: expected cameras", out, re.MULTILINE)
    assert "| sphere | none | 3 of 3 |" in out


def test_true_masks_are_runs_of_their_own(tmp_path, folders, pools):
    command = argv(tmp_path, folders[0], "--levers", "none")
    assert work([*command, "--true-masks"]) == 0
    assert result(tmp_path)["true_masks"]
    (run,) = {path.parent.name for path in tmp_path.glob("work/exp/*/cup-none-seed1")}
    assert run == "small-true-masks"
    parsed = OmegaConf.load(tmp_path / "work/exp/small-true-masks/cup-none-seed1/config/parsed.yaml")
    assert Path(parsed.dataset.root_dir).name == "cup-true-masks"


def test_errors_are_drawn_once_where_there_is_a_truth(tmp_path, folders, pools, monkeypatch):
    monkeypatch.setattr(errors, "_SAMPLES", 20_000)
    (tmp_path / "small.yaml").write_text(TEXT.replace("[1, 2]", "[1]"), encoding="utf-8")
    command = argv(tmp_path, folders[0], folders[2], "--levers", "none", "--errors")
    assert work(command) == 0
    drawn = sorted((tmp_path / "work/errors/small").iterdir())
    assert [path.name for path in drawn] == [f"cup-none-seed1{end}" for end in ("-mesh.ply", "-truth.ply", ".png")]
    times = [path.stat().st_mtime_ns for path in drawn]
    assert work(command) == 0
    assert [path.stat().st_mtime_ns for path in drawn] == times


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["cat"], "cat: expected each scene of .* by the name of its folder: cup, sphere, views"),
        (["cup", "cup"], "expected each scene of .* at most once"),
        (["cup", "--levers", "wide"], "--levers wide: .* has none, eikonal"),
        (["cup", "--prepared", "hen"], "--prepared .*hen: expected a folder with the name of a set"),
        (["cup", "--device", "1"], "--device 1: expected cpu or cuda"),
        (["cup", "--jobs", "0"], "--jobs: expected a whole number from 1 on"),
        (["sphere", "model.radios=1"], "model.radios: unknown key"),
    ],
)
def test_bad_input_is_one_line(tmp_path, folders, pools, capsys, more, expected):
    words = [str(tmp_path / word) if word in ("cat", "cup", "sphere") else word for word in more]
    assert run_command(work, argv(tmp_path, *words)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert re.search(expected, line)


def test_a_sweep_that_judges_by_itself_is_refused(tmp_path, folders, pools, capsys):
    with (tmp_path / "small.yaml").open("a", encoding="utf-8") as file:
        file.write("evaluate: [dtu]\n")
    assert run_command(work, argv(tmp_path, folders[1])) == 2
    assert "evaluate: this benchmark judges by the truth in each folder" in capsys.readouterr().err


def test_the_shipped_scenes_and_levers_make_runs(tmp_path):
    sweep = replace(read_sweep(SWEEP), seeds=(1,))
    assert len(sweep.scenes.overrides) == 11
    for scene in sweep.scenes.overrides:
        tasks = tasks_of(sweep, scene, Place(tmp_path / scene, None, None), [], tmp_path)
        assert len(tasks) == len(sweep.variants)
        assert {task.experiment.dataset.root_dir for task in tasks} == {str(tmp_path / scene)}


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install ray")
def test_from_end_to_end(tmp_path, folders, capsys):
    (tmp_path / "views/transforms_train.json").unlink()
    command = argv(tmp_path, *folders[1:], *TINY, "--levers", "eikonal", "--errors")
    assert work(command) == 1
    rows = {row["scene"]: row for row in result(tmp_path)["rows"]}
    assert (rows["sphere"]["done"], rows["views"]["done"]) == (2, 0)
    assert {"chamfer_permille", "psnr", "launch_seconds"} <= rows["sphere"]["median"].keys()
    assert rows["sphere"]["median"]["launch_seconds"] > rows["sphere"]["median"]["train_seconds"]
    assert "transforms" in rows["views"]["runs"][0]["reason"]
    (checkpoint,) = tmp_path.glob(f"work/exp/small/sphere-eikonal-seed1/ckpt/*step={STEPS}.ckpt")
    written = checkpoint.stat().st_mtime_ns
    assert len([*tmp_path.glob("work/errors/small/*.png")]) == 2
    assert work(command) == 1
    assert checkpoint.stat().st_mtime_ns == written
    assert "| sphere | eikonal | 2 of 2 |" in capsys.readouterr().out
