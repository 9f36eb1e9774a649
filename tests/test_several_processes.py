"""launch.py with two processes on the CPU: one model, rays of both, and ends that leave nobody waiting."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from patience import PATIENCE, until
from sphere_scene import write_sphere_scene
from struck_processes import others_of
from struck_runs import STEPS, TINY, run_in, weights

import launch
from utils.registry import ROOT

KEEP = """
import sys, torch, launch
from systems.training import attempts
fit = attempts.pl.Trainer.fit
broadcast, broadcasts = torch.distributed.broadcast, []
def counted(*args, **kwargs):
    broadcasts.append(1)
    return broadcast(*args, **kwargs)
def fit_and_keep(self, system, *args, **kwargs):
    torch.distributed.broadcast = counted
    fit(self, system, *args, **kwargs)
    torch.save(system.state_dict(), sys.argv[1] + f"/{self.global_rank}.pt")
    open(sys.argv[1] + f"/{self.global_rank}.broadcasts", "w").write(str(len(broadcasts)))
attempts.pl.Trainer.fit = fit_and_keep
sys.exit(launch.main(sys.argv[2:]))
"""


reads_proc = pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of a group in /proc")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sphere_scene(tmp_path_factory.mktemp("scene"))


def settings(scene: Path, out: Path, gpu: str) -> list[str]:
    folders = ["--exp_dir", str(out / "exp"), "--runs_dir", str(out / "runs"), "--gpu", gpu]
    config = ["--config", str(ROOT / "configs/neus-demo.yaml"), "--train", *folders]
    return [*config, f"dataset.root_dir={scene}", *TINY]


def command(scene: Path, out: Path, gpu: str, *args: str) -> list[str]:
    script = out / "keep.py"
    script.write_text(KEEP)
    return [sys.executable, str(script), str(out), *settings(scene, out, gpu), *args]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def launched(*args: str, **options: object) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen(*args, cwd=ROOT, env=environment(), **pipes, **options)


@pytest.fixture(scope="module")
def pair(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run of two processes, and what it said."""
    out = tmp_path_factory.mktemp("pair")
    process = launched(command(scene, out, "cpu,cpu"))
    told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told
    return out, "".join(told)


def test_replicas_are_equal_to_the_bit(pair: tuple[Path, str]) -> None:
    first, second = (torch.load(pair[0] / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    saved = weights(run_in(pair[0]))
    assert all(torch.equal(value, first[name]) for name, value in saved.items())


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_come_to_an_end(scene: Path, tmp_path: Path) -> None:
    process = launched(command(scene, tmp_path, "0,1"))  # NCCL parts only where no graph holds its reductions
    told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_no_step_asks_the_first_process_whether_to_go_on(pair: tuple[Path, str]) -> None:
    assert [(pair[0] / f"{rank}.broadcasts").read_text() for rank in range(2)] == ["0", "0"]


def test_the_first_one_writes_and_speaks(pair: tuple[Path, str]) -> None:
    out, told = pair
    metrics = json.loads((run_in(out) / "save/metrics.json").read_text())
    assert (metrics["processes"], metrics["steps"]) == (2, STEPS)
    assert metrics["train_seconds"] > 0.0
    assert told.count("experiment:") == len(re.findall("^done in", told, re.MULTILINE)) == 1  # stages may be done too
    assert len(list((out / "exp/neus-demo").iterdir())) == 1


def test_rays_of_both_count(scene: Path, tmp_path: Path, pair: tuple[Path, str]) -> None:
    assert launch.main([*settings(scene, tmp_path, "cpu"), "export.report=false"]) == 0
    alone, both = (next(run_in(out).glob("csv_logs/**/metrics.csv")) for out in (tmp_path, pair[0]))
    first = [next(rows_with(path, "train/rays")) for path in (alone, both)]
    assert first[0] < first[1] <= 2.5 * first[0]
    one, two = weights(run_in(tmp_path)), weights(run_in(pair[0]))
    assert any(not torch.equal(value, two[name]) for name, value in one.items())


def rows_with(path: Path, name: str) -> Iterator[float]:
    head, *rows = (line.split(",") for line in path.read_text(encoding="utf-8").splitlines())
    yield from (float(row[head.index(name)]) for row in rows if row[head.index(name)])


@reads_proc
def test_a_signal_saves_and_ends_both(scene: Path, tmp_path: Path) -> None:
    process = launched(command(scene, tmp_path, "cpu,cpu", "trainer.max_steps=100000"))
    wait_for_checkpoint(tmp_path)
    os.kill(process.pid, signal.SIGTERM)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, told
    assert "--resume" in told
    assert_nobody_left(process.pid)


@pytest.mark.soak  # test_together has what the first process does then
@reads_proc
def test_the_loss_of_a_process_ends_the_others(scene: Path, tmp_path: Path) -> None:
    process = launched(command(scene, tmp_path, "cpu,cpu", "trainer.max_steps=100000"))
    wait_for_checkpoint(tmp_path)
    (child,) = others_of(process.pid)
    os.kill(child, signal.SIGKILL)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode in (2, 128 + signal.SIGKILL, -signal.SIGKILL)
    assert "Traceback" not in told
    assert list(run_in(tmp_path).glob("ckpt/*.ckpt"))
    assert_nobody_left(process.pid)


@pytest.mark.soak
@reads_proc
def test_eight_lose_one_and_seven_go_on(scene: Path, tmp_path: Path) -> None:
    process = launched(command(scene, tmp_path, ",".join(["cpu"] * 8), "trainer.max_steps=100000"))
    wait_for_checkpoint(tmp_path)
    os.kill(max(others_of(process.pid)), signal.SIGKILL)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, told
    assert "a process that trained along has ended with code -9" in told
    assert_nobody_left(process.pid)
    run = run_in(tmp_path)
    saved = max(int(path.stem.rpartition("=")[2]) for path in run.glob("ckpt/*.ckpt"))
    more = ["--resume", str(run), "--train", "--gpu", ",".join(["cpu"] * 7), "--runs_dir", str(tmp_path / "runs")]
    seven = launched([sys.executable, str(ROOT / "launch.py"), *more, f"trainer.max_steps={saved + 16}"])
    told = seven.communicate(timeout=PATIENCE)
    assert seven.returncode == 0, told
    metrics = json.loads((run / "save/metrics.json").read_text())
    assert (metrics["processes"], metrics["steps"]) == (7, saved + 16)


def test_only_training_is_shared(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert launch.main(["--resume", str(tmp_path), "--test", "--gpu", "cpu,cpu"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def wait_for_checkpoint(out: Path) -> None:
    until(lambda: list(out.glob("exp/*/*/ckpt/*.ckpt")), lambda: "no checkpoint")


def assert_nobody_left(leader: int) -> None:
    until(lambda: not others_of(leader), lambda: f"still running: {others_of(leader)}")
