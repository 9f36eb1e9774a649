"""Training, capture and sweep on a simulated Windows end well and leave the files that they leave elsewhere.

What is simulated says tests/support/windows/sitecustomize.py; all tests run on Windows itself in .github/workflows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sphere_scene import write_sphere_scene
from textured_scene import orbit_of_cameras, render_all

import launch
from scripts.prepare import main as prepare
from utils.registry import ROOT
from utils.video import write_video

SUPPORT = ROOT / "tests" / "support"
TINY = [
    *("model.num_samples_per_ray=32", "model.train_num_rays=32", "model.max_train_num_rays=64"),
    *("model.grid_resolution=16", "model.geometry.isosurface.resolution=24", "dataset.n_test_traj_steps=2"),
    *("trainer.max_steps=6", "trainer.log_every_n_steps=2", "trainer.val_check_interval=6", "system.warmup_steps=2"),
]
SWEEP = "name: one\nconfig: configs/neus-demo.yaml\nscenes: [a]\noverrides: {dataset.root_dir: 'ROOT/{scene}'}\n"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="this is Windows: the other tests run there"),
]


def run(folder: Path, *argv: str) -> str:
    """Runs a command, and its children, in `folder` on a simulated Windows; returns what it printed."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = os.pathsep.join([str(SUPPORT / "ray_stand_in"), str(SUPPORT / "windows")])
    own = {"PYTHONPATH": paths, "SIMULATED_ROOT": str(ROOT), "TMPDIR": str(folder)}
    command = [sys.executable, str(ROOT / argv[0]), *argv[1:]]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def train(folder: Path, scene: Path, simulated: bool) -> None:
    folders = ["--exp_dir", str(folder / "exp"), "--runs_dir", str(folder / "runs"), "name=one", "trial_name=a"]
    own = ["--config", "configs/neus-demo.yaml", "--train", *folders, f"dataset.root_dir={scene}", *TINY]
    if simulated:
        assert "it6-mc24.obj" in run(folder, "launch.py", *own)
    else:
        assert launch.main(own) == 0


def sweep(folder: Path, scene: Path) -> None:
    (folder / "sweep.yaml").write_text(SWEEP.replace("ROOT", str(scene.parent)), encoding="utf-8")
    folders = ["--exp_dir", str(folder / "exp"), "--runs_dir", str(folder / "runs"), "--gpus", "0"]
    said = run(folder, "scripts/sweep.py", str(folder / "sweep.yaml"), *folders, *TINY)
    assert "results: " in said


def files(folder: Path) -> set[str]:
    """The files of a run, without those whose name holds a time; its copy of the code counts as one."""
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return {name for name in found if "tfevents" not in name and not name.startswith("code/")}


def test_a_training_and_a_sweep_of_one_leave_the_same(tmp_path: Path) -> None:
    scene = write_sphere_scene(tmp_path / "data" / "a")
    train(tmp_path / "linux", scene, simulated=False)
    train(tmp_path / "windows", scene, simulated=True)
    (tmp_path / "sweep").mkdir()
    sweep(tmp_path / "sweep", scene)
    linux, windows, swept = (tmp_path / system / "exp" / "one" / "a" for system in ("linux", "windows", "sweep"))
    assert files(windows) == files(linux) == files(swept) - {"sweep.log"}
    assert (linux / "code" / "launch.py").is_file() == (windows / "code" / "launch.py").is_file() is True
    meshes = [(run / "save" / "it6-mc24.obj").read_bytes() for run in (linux, windows, swept)]
    assert meshes[0] == meshes[1] == meshes[2]


def test_a_capture_leaves_the_same(tmp_path: Path) -> None:
    write_video(tmp_path / "box.mp4", render_all(orbit_of_cameras(10)), fps=10)
    clip, linux, windows = (str(tmp_path / name) for name in ("box.mp4", "linux", "windows"))
    flags = ["--keep-scene", "--transforms"]
    assert prepare([clip, linux, *flags]) == 0
    assert "train with: " in run(tmp_path / "temporary", "scripts/prepare.py", clip, windows, *flags)
    assert files(Path(windows)) == files(Path(linux))
    assert len(files(Path(windows))) > 20
