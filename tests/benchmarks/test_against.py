"""The predecessor beside us: a checkout that only pretends to train, and our own launch.py."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import train as benchmark
from benchmarks.against import run_command_of, their_config, their_overrides
from benchmarks.common import run_command
from systems.configs import Experiment
from utils.errors import ConfigError

FAKE = """
import argparse, json, pathlib, sys, time
parser = argparse.ArgumentParser()
for flag in ("--config", "--gpu", "--exp_dir", "--runs_dir"):
    parser.add_argument(flag, required=True)
parser.add_argument("--train", action="store_true", required=True)
args, rest = parser.parse_known_args()
if "dataset.scene=broken" in rest:
    sys.exit("Traceback: no such scene")
trial = pathlib.Path(args.exp_dir) / "neus" / "trial"
(trial / "csv_logs").mkdir(parents=True)
(trial / "ckpt").mkdir()
rows = ["epoch,step,train/loss,val/psnr,test/psnr", "0,100,0.5,,"]
rows += ["0,1000,0.2,,", "0,1000,,25.5,", "0,2000,0.1,,"]
for count in range(2, len(rows) + 1):
    (trial / "csv_logs" / "metrics.csv").write_text("\\n".join(rows[:count]) + "\\n")
    time.sleep(0.2)
(trial / "ckpt" / "epoch=0-step=2000.ckpt").write_text("weights")
pathlib.Path("told.json").write_text(json.dumps([args.config, args.gpu, rest]))
time.sleep(0.3 if "dataset.scene=slow" not in rest else 60)
(trial / "csv_logs" / "metrics.csv").write_text("\\n".join([*rows, "0,2000,,,31.25"]) + "\\n")
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("benchmarks.against.POLL", 0.05)
    root = tmp_path / "checkout"
    (root / "configs").mkdir(parents=True)
    (root / "launch.py").write_text(FAKE)
    (root / "configs" / "neus-demo.yaml").touch()
    return root


def test_both_stand_in_one_file(checkout: Path, overrides: list[str], tmp_path: Path) -> None:
    out = tmp_path / "train.json"
    argv = ["--config", "configs/neus-demo.yaml", *overrides, "trainer.max_steps=3", "system.warmup_steps=1"]
    argv += ["--runs", "0", "--against", str(checkout), "--device", "cpu", "--out", str(out)]
    assert run_command(benchmark.work, argv) == 0
    found = json.loads(out.read_text())["against"]
    theirs, ours = found["theirs"], found["ours"]
    assert theirs["psnr"] == 31.25
    assert theirs["validation"] == [{"step": 1000, "psnr": 25.5}]
    assert 0.8 < theirs["seconds_to_last_checkpoint"] < theirs["seconds"] - 0.2
    assert 0.05 < theirs["ms_per_step"] < 10.0  # 1000 steps in about 0.4 s
    assert 0.0 < ours["seconds_to_last_checkpoint"] < ours["seconds"]
    assert ours["psnr"] > 3.0
    assert not {"failed"} & (theirs.keys() | ours.keys())
    config, gpu, told = json.loads((checkout / "told.json").read_text())
    assert (config, gpu) == ("configs/neus-demo.yaml", "cpu")
    root = overrides[0].removeprefix("dataset.root_dir=")
    assert told == [f"dataset.root_dir={root}", "trainer.max_steps=3", "seed=42", "dataset.img_wh=[64,64]"]


def test_their_run_takes_our_data_and_leaves_the_rest_to_them(experiment: Experiment) -> None:
    given = ["dataset.scene=lego", "dataset.img_wh=[32,32]", "model.radius=2", "dataset.root_dir=x"]
    found = their_overrides(replace(experiment, seed=7), given)
    assert found[:2] == ["dataset.scene=lego", "dataset.img_wh=[32,32]"]
    assert f"trainer.max_steps={experiment.trainer.max_steps}" in found
    assert "seed=7" in found
    assert sum(item.startswith("dataset.img_wh=") for item in found) == 1
    assert not any("radius" in item for item in found)
    (root,) = (item for item in found if item.startswith("dataset.root_dir="))
    assert Path(root.partition("=")[2]).is_absolute()


def test_a_command_that_fails_says_so(checkout: Path) -> None:
    command = [sys.executable, "launch.py", "--config", "x", "dataset.scene=broken"]
    found = run_command_of(command, checkout, "0", None)
    assert found["failed"] == "exit code 1: Traceback: no such scene"
    assert found["psnr"] is found["ms_per_step"] is found["seconds_to_last_checkpoint"] is None


def test_the_time_limit_ends_a_command(checkout: Path) -> None:
    command = [sys.executable, "launch.py", "--config", "x", "dataset.scene=slow"]
    found = run_command_of(command, checkout, "0", time.monotonic() + 2.0)
    assert 1.5 < found["seconds"] < 50.0
    assert found["failed"].startswith("exit code -9")


def test_a_checkout_without_the_config_names_those_it_has(checkout: Path, refused: Callable[..., str]) -> None:
    assert their_config(checkout, "mine/neus-demo.yaml") == "configs/neus-demo.yaml"
    with pytest.raises(ConfigError, match=r"no configs/neus-blender.yaml in it.*It has neus-demo.yaml"):
        their_config(checkout, "configs/neus-blender.yaml")
    (checkout / "launch.py").unlink()
    line = refused(benchmark.work, "--config", "configs/neus-demo.yaml", "--against", str(checkout))
    assert "no launch.py in it" in line
