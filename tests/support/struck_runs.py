"""Runs of few steps that something strikes, for tests of what they lose."""

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
    "export.report=false",
]


class Killed(BaseException):
    """Stands for kill -9: nothing below the test may take it for something to handle."""


def start(scene: Path, out: Path, *args: str) -> int:
    folders = ["--exp_dir", str(out / "exp"), "--runs_dir", str(out / "runs"), "--gpu", "cpu"]
    return launch.main(
        ["--config", "configs/neus-demo.yaml", "--train", *folders, f"dataset.root_dir={scene}", *TINY, *args]
    )


def go_on(out: Path, *args: str) -> int:
    return launch.main(["--resume", str(run_in(out)), "--train", "--runs_dir", str(out / "runs"), *args])


def run_in(out: Path) -> Path:
    (found,) = out.glob("exp/*/*@*")
    return found


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / f"ckpt/epoch=0-step={STEPS}.ckpt", weights_only=True)["state_dict"]


def steps_on_disk(run: Path) -> list[int]:
    return sorted(int(re.sub(r".*=(\d+)\.ckpt", r"\1", path.name)) for path in (run / "ckpt").iterdir())


def strike(monkeypatch: pytest.MonkeyPatch, at: int, what: Callable[[TrainingStep], None]) -> list[int]:
    """Has something happen before a step, the first time that the training comes to it; returns all steps run."""
    run, seen = TrainingStep.run, []

    def struck(self: TrainingStep, step: int) -> object:
        seen.append(step)
        if step == at and seen.count(at) == 1:
            what(self)
        return run(self, step)

    monkeypatch.setattr(TrainingStep, "run", struck)
    return seen


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def kill(step: TrainingStep) -> None:
    raise Killed
