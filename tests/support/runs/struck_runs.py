"""Short runs of launch.py in this process, and faults that strike them at a step."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import launch
from systems.steps.step import TrainingStep

STEPS = 24
TINY = [
    f"trainer.max_steps={STEPS}",
    "trainer.log_every_n_steps=3",
    "trainer.val_check_interval=9",
    "trainer.enable_progress_bar=false",
    "checkpoint.every_n_train_steps=8",
    "system.warmup_steps=4",
    "model.num_samples_per_ray=32",
    "model.train_num_rays=32",
    "model.max_train_num_rays=128",
    "model.grid_resolution=16",
    "model.geometry.xyz_encoding_config.n_levels=4",
    "model.geometry.xyz_encoding_config.log2_hashmap_size=10",
    "model.geometry.isosurface.resolution=32",
    "dataset.img_wh=[16,16]",
    "dataset.n_test_traj_steps=3",
    "export.report=false",
]


class Killed(BaseException):
    """Stands for kill -9: a BaseException that no code below the test handles."""


def start(scene: Path, out: Path, *args: str) -> int:
    """Trains from the first step; returns the exit code."""
    folders = ["--exp_dir", str(out / "exp"), "--runs_dir", str(out / "runs"), "--gpu", "cpu"]
    return launch.main(
        ["--config", "configs/neus-demo.yaml", "--train", *folders, f"dataset.root_dir={scene}", *TINY, *args]
    )


def go_on(out: Path, *args: str) -> int:
    """Resumes the run in a folder; returns the exit code."""
    return launch.main(["--resume", str(run_in(out)), "--train", "--runs_dir", str(out / "runs"), *args])


def run_in(out: Path) -> Path:
    """The folder of the only run that was started in `out`."""
    (found,) = out.glob("exp/*/*@*")
    return found


def weights(run: Path, step: int = STEPS) -> dict[str, torch.Tensor]:
    """The parameters and buffers after a step, by default the last one."""
    (path,) = (run / "ckpt").glob(f"*-step={step}.ckpt")
    return torch.load(path, weights_only=True)["state_dict"]


def steps_on_disk(run: Path) -> list[int]:
    """The steps of all checkpoints of a run."""
    return sorted(int(re.sub(r".*=(\d+)\.ckpt", r"\1", path.name)) for path in (run / "ckpt").iterdir())


def strike(monkeypatch: pytest.MonkeyPatch, at: int, what: Callable[[TrainingStep], None]) -> list[int]:
    """Calls `what` before step `at`, the first time that the training reaches it; returns the list of all steps run."""
    run, seen = TrainingStep.run, []

    def struck(self: TrainingStep, step: int) -> object:
        seen.append(step)
        if step == at and seen.count(at) == 1:
            what(self)
        return run(self, step)

    monkeypatch.setattr(TrainingStep, "run", struck)
    return seen


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two states are equal to the bit."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def kill(step: TrainingStep) -> None:
    """A fault for `strike`: the process dies."""
    raise Killed
