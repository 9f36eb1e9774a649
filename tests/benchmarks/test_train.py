"""The benchmark of a training through its command line: runs in processes of their own, profile, sweep, error lines."""

import contextlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import train as benchmark
from benchmarks.common import run_command
from benchmarks.experiments import with_all_levels
from benchmarks.sweep import LEVELS, settings_of
from systems.configs import Experiment, read_experiment
from utils.registry import ROOT

DEMO = ["--config", "configs/neus-demo.yaml"]


def test_overrides_may_stand_anywhere() -> None:
    args = benchmark.parse_args([*DEMO, "a.b=1", "--eval_every", "5", "7", "c=[1,2]", "--thresholds", "30.5", "d=/x=y"])
    assert args.overrides == ["a.b=1", "c=[1,2]", "d=/x=y"]
    assert args.config == ["configs/neus-demo.yaml"]
    assert (args.eval_every, args.thresholds, args.runs) == ([5, 7], [30.5], 3)


def test_medians_over_runs_need_every_run_for_a_threshold() -> None:
    def run(seconds: float, reached: float | None) -> dict:
        thresholds = [{"psnr": 30.0, "step": None, "seconds": reached}, {"psnr": 20.0, "step": 1, "seconds": seconds}]
        return {
            "train_seconds": seconds,
            "command_to_first_step_seconds": 1.0,
            "psnr": 10.0 * seconds,
            "ms_per_step": {"median": seconds} if reached else None,
            "thresholds": thresholds,
        }

    found = benchmark.medians([run(3.0, 2.0), run(1.0, None), run(2.0, 5.0)])
    assert (found["runs"], found["train_seconds"], found["psnr"]) == (3, 2.0, 20.0)
    assert found["ms_per_step"] == 2.5
    assert found["thresholds"] == [
        {"psnr": 30.0, "seconds": None, "reached_by": 2},
        {"psnr": 20.0, "seconds": 2.0, "reached_by": 3},
    ]
    assert "peak_gpu_allocated_mib" not in found


def test_two_runs_with_profile_and_sweep_stand_in_one_file(
    overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out, started = tmp_path / "train.json", []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess:
        """The first run in a process of its own, the second one in this."""
        started.append(command)
        if len(started) == 1:
            return subprocess.run(command, **options)
        assert command[1:3] == ["-m", "benchmarks.train"]
        with contextlib.redirect_stdout(StringIO()):
            return subprocess.CompletedProcess(command, run_command(benchmark.work, command[3:]))

    monkeypatch.setattr(benchmark, "subprocess", SimpleNamespace(run=run, DEVNULL=subprocess.DEVNULL))
    flags = ["--runs", "2", "--eval_every", "8", "16", "--thresholds", "1", "90", "--profile", "--sweep"]
    argv = [*DEMO, *overrides, *flags, "--device", "cpu", "--quick", "--out", str(out)]
    assert run_command(benchmark.work, argv) == 0
    assert capsys.readouterr().out.split() == [str(out)]
    content = json.loads(out.read_text())
    assert content["benchmark"] == "train"
    assert content["config"]["model"]["grid_resolution"] == 16
    assert [run["seed"] for run in content["runs"]] == [42, 43]
    assert len(started) == 2
    for run in content["runs"]:
        assert run["steps"] == benchmark.QUICK_STEPS
        assert [point["step"] for point in run["curve"]] == [8, 16]
        assert run["curve"][-1]["seconds"] < run["train_seconds"]
        assert run["command_to_first_step_seconds"] > 0.5  # torch alone takes longer to import
        assert run["views"] == 2
        assert run["thresholds"][0]["step"] == 8
        assert run["thresholds"][1] == {"psnr": 90.0, "step": None, "seconds": None}
    seconds = [run["train_seconds"] for run in content["runs"]]
    assert min(seconds) <= content["median"]["train_seconds"] <= max(seconds)
    assert content["profile"]["steps"] == 4
    small, whole = content["sweep"]
    assert (small["value"], whole["value"]) == (1024, 2048)
    assert small["samples"] <= 1024 < whole["samples"] <= 2048
    assert whole["budget_filled"] == pytest.approx(whole["samples"] / 2048, rel=1e-3)
    assert whole["ms_per_step"]["median"] > 0.0


def test_the_sweep_scales_rays_with_the_budget(experiment: Experiment) -> None:
    settings = settings_of(experiment, quick=False)
    assert [value for name, value, _ in settings if name == "samples"] == [2**power for power in range(16, 21)]
    assert settings[2][2] == ["model.train_num_rays=4096", "model.max_train_num_rays=32768"]  # 128 times 32 and 256
    key = "model.geometry.xyz_encoding_config.n_levels"
    assert [own for name, _, own in settings if name == "n_levels"] == [[f"{key}={levels}"] for levels in LEVELS]


def test_steps_are_timed_with_all_levels_open() -> None:
    given = ["dataset.scene=x"]
    experiment = read_experiment([str(ROOT / "configs/neus-blender.yaml")], given)
    grid = with_all_levels(experiment).model.geometry.xyz_encoding_config
    assert grid == replace(experiment.model.geometry.xyz_encoding_config, start_level=13)
    plain = read_experiment([str(ROOT / "configs/nerf-blender.yaml")], given)
    assert with_all_levels(plain) == plain


def test_a_run_that_fails_passes_on_its_exit_code_and_leaves_no_file(
    overrides: list[str], tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    argv = [*DEMO, *overrides, "dataset.root_dir=nowhere", "--runs", "2", "--quick", "--device", "cpu"]
    assert run_command(benchmark.work, [*argv, "--out", str(tmp_path)]) == 2
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "nowhere" in errors[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "required: --config"),
        ([*DEMO, "--runs", "-1"], "--runs: expected a whole number from 0 on, got '-1'"),
        ([*DEMO, "--thresholds", "high"], "expected a number above 0, got 'high'"),
        ([*DEMO, "--eval_every", "0"], "from 1 on"),
        ([*DEMO, "--time_limit", "inf"], "above 0"),
        ([*DEMO, "--trian"], "unrecognized arguments: --trian"),
        ([*DEMO, "trainer.max_step=5"], "'max_steps'"),
        (["--config", "configs/neus-dem.yaml"], "neus-demo.yaml"),
        ([*DEMO, "--profile", "trainer.max_steps=9", "system.warmup_steps=1"], "--profile: needs trainer.max_steps"),
    ],
)
def test_bad_arguments_are_one_line(argv: list[str], said: str, refused: Callable[..., str]) -> None:
    assert said in refused(benchmark.work, *argv)
