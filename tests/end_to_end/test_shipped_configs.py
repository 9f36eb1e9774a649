"""Each config that is shipped learns from photographs on a CPU, at a small size and with its own losses and rates."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from small_training import GRID, SMALL
from three_lobes import distance, photographs, write_three_lobes

import launch
from utils.registry import ROOT

NEUS = ("system.warmup_steps=20",)
LEVELS = (*NEUS, f"{GRID}.start_level=4", f"{GRID}.update_steps=10")
BACKGROUND = (
    "model.background.num_samples_per_ray=16",
    "model.background.train_num_rays=128",
    "model.background.grid_resolution=16",
)
DENSITY = ("model.background.geometry.xyz_encoding_config.n_levels=5", "model.background.num_samples_in_front=16")
BLENDER = ("dataset.scene=lobes", "model.radius=0.8")
COARSE = ("dataset.img_downscale=2", "model.num_samples_per_ray=32")  # eight rays a pixel
WHOLE = ("dataset.img_downscale=1", "dataset.holdout=8")
FULL = {  # what finds the surface in so short a time: how many steps, the format, and what makes the run small
    "nerf-blender": (110, "blender", *BLENDER),
    "neus-dtu-wmask": (110, "dtu", *LEVELS),
    "neuralangelo-dtu-wmask": (80, "dtu", *WHOLE, *LEVELS, "system.constant_steps=25"),
    "neus-capture-cpu": (110, "colmap", *WHOLE, *NEUS),
    "neus-blender high": (110, "blender", *BLENDER, *LEVELS, *COARSE),
    "neus-blender glossy": (110, "blender", *BLENDER, *LEVELS),
}
# Without masks a background explains a few photographs as well as a surface does; thousands of steps tell them apart.
# Here it is only asked that the photographs are learned.
LATE = {
    "nerf-colmap": (60, "colmap", *BACKGROUND, *DENSITY),
    "neus-colmap": (40, "colmap", *NEUS, *BACKGROUND),
    "neus-capture": (40, "colmap", *NEUS, *BACKGROUND, "dataset.apply_mask=false"),
    "neus-dtu": (40, "dtu", *LEVELS, *BACKGROUND),
}
ELSEWHERE = {"neus-demo": "test_run", "neus-blender": "test_formats", "neus-bmvs": "test_formats"}


def train(name: str, steps: int, kind: str, *own: str, out: Path) -> Path:
    """Trains a config, with the presets behind its name, on photographs in one format; returns its folder."""
    config, *presets = name.split()
    files = [f"configs/{config}.yaml", *(f"configs/quality/{preset}.yaml" for preset in presets)]
    folders = ["--exp_dir", str(out / "exp"), "--runs_dir", str(out / "runs"), "--gpu", "cpu"]
    overrides = [
        f"dataset.root_dir={out / 'lobes'}",
        f"trainer.max_steps={steps}",
        *SMALL,
        "trainer.log_every_n_steps=10",
        *own,
    ]
    code = launch.main(["--config", *files, "--train", *folders, *overrides])
    assert code == 0 or name in LATE  # these may have no surface yet
    (folder,) = out.glob("exp/*/@*")
    return folder


def test_each_config_is_trained_somewhere() -> None:
    names = {path.stem for path in (ROOT / "configs").glob("*.yaml")}
    assert names == {name for name in (*FULL, *LATE, *ELSEWHERE) if " " not in name}
    presets = {path.stem for path in (ROOT / "configs/quality").glob("*.yaml")}
    # draft and default only set the steps and the resolution of the mesh, see test_presets, and here both are given
    assert presets == {"draft", "default", *(name.split()[1] for name in FULL if " " in name)}


@pytest.mark.parametrize("name", FULL)
def test_views_that_were_held_out_are_predicted_and_the_surface_is_found(name: str, tmp_path: Path) -> None:
    pose = write_three_lobes(tmp_path / "lobes", FULL[name][1])
    folder = train(name, *FULL[name], out=tmp_path)
    one_color = -10.0 * np.log10((np.stack(photographs())[..., :3] / 255.0).var(axis=(0, 1, 2)).mean())  # 13.0 dB
    assert json.loads((folder / "save/metrics.json").read_text())["psnr"] > one_color + 2.5
    (file,) = folder.glob("save/*.ply")
    apart = distance(pose.to_object(trimesh.load(file, process=False).vertices)).min(axis=-1)
    assert np.abs(apart).mean() < 0.07  # of balls with radii of 0.19 to 0.3


@pytest.mark.parametrize("name", LATE)
def test_the_loss_falls_by_half(name: str, tmp_path: Path) -> None:
    write_three_lobes(tmp_path / "lobes", LATE[name][1])
    folder = train(name, *LATE[name], out=tmp_path)
    (file,) = folder.glob("csv_logs/version_0/metrics.csv")
    losses = [float(row["train/loss"]) for row in csv.DictReader(file.open()) if row["train/loss"]]
    assert np.mean(losses[-2:]) < 0.5 * losses[0]
