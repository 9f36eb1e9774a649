"""Steps that a training takes at once: what a GPU does with recorded steps, done by a CPU that records none."""

import csv
from pathlib import Path

import pytest
from sphere_scene import write_sphere_scene
from variants import SMALL

import launch
from systems.training.reconstruction import ReconstructionSystem


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Has a step compute gradients and optimise, as a recorded one does, and tells how many Lightning was told of."""
    batches = []
    told = ReconstructionSystem.training_step

    def noted(self, batch, batch_idx):
        batches.append(batch_idx)
        return told(self, batch, batch_idx)

    monkeypatch.setattr(ReconstructionSystem, "training_step", noted)
    always = property(lambda self: True, lambda self, value: None)
    monkeypatch.setattr(ReconstructionSystem, "uses_cuda_graph", always, raising=False)
    return batches


CHANGING = ("perf/rays_per_s", "time/step_ms", "memory/process_peak_gib")
STEPS = [
    "trainer.max_steps=47",
    "system.warmup_steps=5",
    "trainer.val_check_interval=23",
    "trainer.log_every_n_steps=12",
]
KEPT = ["checkpoint.every_n_train_steps=17", "checkpoint.save_top_k=-1"]


def trained(scene: Path, out: Path) -> tuple[set[int], list[dict[str, str]]]:
    """The steps of the checkpoints, and what is logged of a training that does not depend on the clock."""
    folders = ["--exp_dir", str(out / "exp"), "--runs_dir", str(out / "runs"), f"dataset.root_dir={scene}"]
    command = ["--config", "configs/neus-demo.yaml", "--train", "--gpu", "cpu", *folders, *SMALL, *STEPS, *KEPT]
    assert launch.main(command) == 0
    (run,) = out.glob("exp/*/@*")
    rows = csv.DictReader(next(run.glob("csv_logs/**/metrics.csv")).open(encoding="utf-8"))
    logged = [{k: v for k, v in row.items() if k not in CHANGING} for row in rows]
    return {int(path.stem.rpartition("=")[2]) for path in run.glob("ckpt/*.ckpt")}, logged


def test_steps_taken_at_once_train_as_single_ones(
    tmp_path: Path, recorded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = write_sphere_scene(tmp_path / "sphere")
    kept, several = trained(scene, tmp_path / "several")
    assert recorded == [0, 1, 10, 12, 17, 20, 23, 24, 30, 34, 36, 40, 46]
    assert kept == {17, 34, 47}
    monkeypatch.setattr(ReconstructionSystem, "at_once", 1)
    assert (kept, several) == trained(scene, tmp_path / "one")
    assert recorded[13:] == list(range(47))
    assert [row["step"] for row in several if row["train/loss"]] == ["11", "23", "35"]
    assert [row["step"] for row in several if row["val/psnr"]] == ["23", "46"]
