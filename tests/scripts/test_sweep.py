"""sweep.py from end to end: the plan, what needs no Ray, and with Ray trainings of which one fails or is killed."""

import json
import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from patience import PATIENCE, until
from shapes import ball
from small_sweep import finish, tasks_of, write_sweep
from sphere_scene import write_sphere_scene
from struck_runs import STEPS, TINY

from scripts.sweep import main
from utils.mesh.ply import write_ply

ROOT = Path(__file__).resolve().parents[2]
with_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install ray")
ONE = "name: one\nconfig: configs/neus-demo.yaml\nscenes: [a, b]\noverrides: {dataset.root_dir: 'ROOT/{scene}'}\n"


def argv(path, *more):
    folders = ["--exp_dir", str(path.parent / "exp"), "--runs_dir", str(path.parent / "runs")]
    return [str(path), "--gpus", "0", *folders, *more]


def test_a_dry_run_says_what_would_be_done(tmp_path, capsys):
    path = write_sweep(tmp_path, scenes=("cow",))
    finish(tasks_of(path)["cow-plain"])
    assert main(argv(path, "--dry_run")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["cow-plain: done", "cow-wide: new"]
    assert re.search(r"launch\.py --config configs/neus-demo\.yaml --train .*model\.radius=1\.3 .*--gpu cpu", lines[2])
    assert lines[3:5] == ["pig-plain: no data", f"    dataset.root_dir: {tmp_path}/data/pig: no such folder."]
    assert not (tmp_path / "exp" / "pair" / "cow-wide").exists()


def test_what_is_done_is_shown_without_ray(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    path = write_sweep(tmp_path)
    for task in tasks_of(path).values():
        finish(task, psnr=25.0)
    assert main(argv(path)) == 0
    out = capsys.readouterr().out
    assert re.search(r"^cow +plain +25 +$", out, re.MULTILINE)
    assert (tmp_path / "exp/pair/sweep.json").is_file()
    assert main(argv(path, "--name", "other")) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: Ray, which runs the tasks of a sweep, is not installed: pip install ray"
    )


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--jobs", "0"], "--jobs 0: expected 1 or more"),
        (["--gpus", "-1"], "--gpus -1: expected 0 or more"),
        (["model.radios=2"], "cow-plain: command line: model.radios: unknown key"),
        (["--name", "a/b"], "name: 'a/b': expected letters"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, more, expected):
    assert main(argv(write_sweep(tmp_path), *more)) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("error: ")
    assert said.count("error: ") == 1
    assert said.count("\n") <= 2  # what is begun may be said before
    assert expected in said


def test_a_sweep_that_is_not_there(tmp_path, capsys):
    assert main([str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: no such config file" in capsys.readouterr().err


@with_ray
def test_an_address_without_a_cluster(tmp_path, capsys):
    assert main(argv(write_sweep(tmp_path), "--address", "127.0.0.1:9")) == 2
    assert "--address 127.0.0.1:9: no Ray cluster answers there" in capsys.readouterr().err


def sweep(path, *more, wait=True):
    """Runs the script in a process of its own, as a user does."""
    command = [sys.executable, str(ROOT / "scripts" / "sweep.py"), *argv(path, *TINY, *more)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return (*process.communicate(timeout=PATIENCE), process.returncode) if wait else process


def states(path):
    found = json.loads((path.parent / "exp/one/sweep.json").read_text(encoding="utf-8"))
    return {row["task"]: row["state"] for row in found["tasks"]}


def processes_of(path):
    """Trainings under way that write below the folder of a sweep."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes().decode().split("\0")
        except OSError:
            continue
        if str(ROOT / "launch.py") in words and str(path.parent / "exp") in words:
            found.append(int(command.parent.name))
    return found


@with_ray
@pytest.mark.slow
def test_a_scene_that_fails_stops_no_other_and_is_tried_again_when_told_to(tmp_path):
    path = write_sweep(tmp_path, text=ONE, scenes=("b",))
    write_sphere_scene(tmp_path / "data" / "a")
    out, err, code = sweep(path)
    assert code == 1, err
    assert states(path) == {"a": "done", "b": "failed"}
    assert "started  a on " in err
    assert "failed   b after " in err
    assert "transforms" in err.split("failed   b")[1].splitlines()[0]
    assert re.search(r"^b .*failed$", out, re.MULTILINE)
    checkpoint = tmp_path / f"exp/one/a/ckpt/epoch=0-step={STEPS}.ckpt"
    written = checkpoint.stat().st_mtime_ns
    write_sphere_scene(tmp_path / "data" / "b")
    assert sweep(path)[2] == 1  # still failed, and nothing is run
    _, err, code = sweep(path, "--retry")
    assert code == 0, err
    assert "one: 2 tasks, 1 done, 1 to run" in err
    assert states(path) == {"a": "done", "b": "done"}
    assert checkpoint.stat().st_mtime_ns == written
    write_ply(ball(0.5, 2), tmp_path / "ball.ply")
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"evaluate: [mesh, --gt, {tmp_path}/ball.ply, --samples, 5000]\n")
    out, err, code = sweep(path)
    assert code == 0, err
    assert "evaluation: Chamfer distance" in out
    assert checkpoint.stat().st_mtime_ns == written


@with_ray
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="sends signals and reads /proc")
def test_one_that_is_killed_and_one_that_is_told_to_end_go_on(tmp_path):
    path = write_sweep(tmp_path, text=ONE, scenes=())
    for name in ("a", "b"):
        write_sphere_scene(tmp_path / "data" / name)
    long = ["trainer.max_steps=3000", "trainer.val_check_interval=3000"]
    process = sweep(path, *long, wait=False)
    until(lambda: list(tmp_path.glob("exp/one/a/ckpt/*.ckpt")))
    os.kill(*processes_of(path), signal.SIGKILL)
    until(lambda: list(tmp_path.glob("exp/one/b/ckpt/*.ckpt")))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "interrupted a after " in err
    assert "ended by SIGKILL" in err
    assert "interrupted b after " in err
    assert processes_of(path) == []
    assert states(path) == {"a": "interrupted", "b": "interrupted"}
    assert "SIGTERM: saving after this step" in (tmp_path / "exp/one/b/sweep.log").read_text(encoding="utf-8")
    shorter = sweep(path, *long[1:])
    assert "holds a run with other settings" in shorter[1]
    assert sweep(path, *long, "--dry_run")[0].count("--resume") == 2
