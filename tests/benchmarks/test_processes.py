"""The benchmark of several processes, on the CPU."""

import contextlib
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest

import launch
from benchmarks import processes
from benchmarks.report import report
from utils.errors import ConfigError
from utils.registry import ROOT

CONFIG = "configs/neus-demo.yaml"
NO_FLOORS = json.loads((ROOT / "benchmarks/floors.json").read_text(encoding="utf-8"))


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """launch.py without a process of its own."""

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess:
        assert command[:2] == [sys.executable, str(ROOT / "launch.py")]
        with contextlib.redirect_stdout(StringIO()) as out, contextlib.redirect_stderr(StringIO()) as err:
            code = launch.main(command[2:])
        return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())

    monkeypatch.setattr(processes, "subprocess", SimpleNamespace(run=run))


@pytest.mark.usefixtures("in_this_process")
def test_a_process_is_trained_and_shown(tmp_path: Path, overrides: list[str]) -> None:
    trained_and_shown("cpu", 1, tmp_path, overrides)


@pytest.mark.soak
def test_two_processes_are_trained_and_shown(tmp_path: Path, overrides: list[str]) -> None:
    trained_and_shown("cpu,cpu", 2, tmp_path, overrides)


def trained_and_shown(gpu: str, number: int, tmp_path: Path, overrides: list[str]) -> None:
    out = tmp_path / "processes.json"
    flags = ["--config", CONFIG, "--gpus", gpu, "--quick", "--device", "cpu", "--out", str(out)]
    assert processes.work([*flags, *overrides, "system.warmup_steps=5", "trainer.log_every_n_steps=2"]) == 0
    result = json.loads(out.read_text())
    (row,) = result["runs"]  # a row with one process differs in the value of --gpu alone
    assert (row["processes"], row["steps"], row["rays_against_first"]) == (number, 30, 1.0)
    assert row["rays_per_s"] > 0.0
    text = report({"processes.json": result}, NO_FLOORS)
    assert f"| {gpu} | {number} | 30 |" in text


@pytest.mark.usefixtures("in_this_process")
def test_what_launch_refuses_is_told(tmp_path: Path, overrides: list[str]) -> None:
    flags = ["--config", CONFIG, "--gpus", "cpu,0", "--device", "cpu", "--out", str(tmp_path / "x.json")]
    with pytest.raises(ConfigError, match=r"--gpus cpu,0: launch\.py ended with code 2: error: --gpu cpu,0"):
        processes.work([*flags, *overrides])
    assert not (tmp_path / "x.json").exists()


@pytest.mark.usefixtures("in_this_process")
def test_several_are_trained_for_as_many_rays_too(
    tmp_path: Path, overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(config: object, given: list[str], gpu: str, folder: Path) -> dict[str, object]:
        number = len(gpu.split(","))
        steps = next(int(pair.partition("=")[2]) for pair in reversed(given) if pair.startswith("trainer.max_steps"))
        return {"gpu": gpu, "processes": number, "steps": steps, "rays_per_s": 100.0 * number**0.5, "given": given}

    monkeypatch.setattr(processes, "train", train)
    out = tmp_path / "processes.json"
    flags = ["--config", CONFIG, "--gpus", "cpu", "cpu,cpu,cpu,cpu", "--fewer_steps", "--device", "cpu"]
    given = [*overrides, "trainer.max_steps=400", "system.warmup_steps=5", "system.optimizer.args.lr=0.01"]
    assert processes.work([*flags, "--out", str(out), *given]) == 0
    runs = json.loads(out.read_text())["runs"]
    assert [(run["processes"], run["steps"]) for run in runs] == [(1, 400), (4, 400), (4, 200)]
    assert runs[2]["given"][-2:] == ["trainer.max_steps=200", "system.optimizer.args.lr=0.02"]
    text = report({"processes.json": json.loads(out.read_text())}, NO_FLOORS)
    assert "| cpu,cpu,cpu,cpu trainer.max_steps=200 system.optimizer.args.lr=0.02 | 4 | 200 |" in text


def test_rates_are_those_of_the_later_steps(tmp_path: Path) -> None:
    folder = tmp_path / "csv_logs/version_0"
    folder.mkdir(parents=True)
    rows = ["step,perf/rays_per_s", "10,1", "20,2", "30,30", "35,", "40,50"]
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n")
    assert processes.steady_rays(tmp_path) == pytest.approx(30.0)
