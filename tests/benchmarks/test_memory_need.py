"""What a run is said to hold on a GPU is what its tensors hold, and every shipped config fits small cards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from counted_memory import CountedBytes
from sphere_scene import write_sphere_scene

import launch
from benchmarks.cards.memory_need import MESH_MIB, PARAMETER_BYTES, RUNTIME, memory_need
from systems.configs import Experiment, read_experiment
from utils import registry
from utils.registry import ROOT

ALONE, WHOLE = "base/object-alone", "base/whole-scene"  # what neus-capture chooses between by the masks of a set
SHIPPED = {
    path.stem: [path.stem] for path in (ROOT / "configs").glob("*.yaml") if not path.stem.startswith("neus-capture")
}
SHIPPED |= {f"neus-capture, {base}": ["neus-capture", base] for base in (ALONE, WHOLE)}
SHIPPED["neus-capture-cpu"] = ["neus-capture-cpu"]
HIGH = [name for name in SHIPPED if name not in ("neuralangelo-dtu-wmask", "neus-demo", "neus-capture-cpu")]
QUARTER = ["model.train_num_rays=64", "model.max_train_num_rays=2048", "model.grid_min_views=0", "model.radius=1.0"]
QUARTER += ["model.geometry.xyz_encoding_config.log2_hashmap_size=8"]
COUNTED = {
    "analytic": ("neus-blender", []),
    "full precision": ("neus-blender", ["trainer.precision=32"]),
    "few levels": ("neus-blender", ["model.geometry.xyz_encoding_config.n_levels=8"]),
    "reflected": ("neus-blender", ["model.texture.name=volume-reflected-radiance", "model.geometry.feature_dim=12"]),
    "density": ("nerf-blender", []),
    "differences": ("neuralangelo-dtu-wmask", []),
    "background": ("neus-dtu", ["model.background.geometry.xyz_encoding_config.log2_hashmap_size=8"]),
    "background by direction": (
        "nerf-colmap",
        ["model.background.geometry.xyz_encoding_config.log2_hashmap_size=8"],
    ),
}


def asked(files: list[str], *overrides: str) -> tuple[list[str], list[str]]:
    return [f"configs/{name}.yaml" for name in files], ["dataset.scene=x", "dataset.root_dir=x", *overrides]


def read(files: list[str], *overrides: str) -> Experiment:
    return read_experiment(*asked(files, *overrides))


@pytest.fixture(scope="module")
def counted() -> dict[str, int]:
    """Bytes of the steps of COUNTED, in a process that has no interpreter of Triton in the place of its compiler."""
    cases = {name: asked([config], *QUARTER, *overrides) for name, (config, overrides) in COUNTED.items()}
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "tests/support/counted_memory.py"]
    done = subprocess.run(
        command, input=json.dumps(cases), cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def photographs_of(name: str) -> tuple[int, int, int]:
    return (80, 1200, 900) if name.startswith("neus-capture") else (100, 800, 800)


def test_bytes_are_counted_while_they_are_held() -> None:
    with CountedBytes() as counted:
        first = torch.zeros(1000)
        second = first + 1.0
        del first
        third = second.view(10, 100)
        torch.zeros(500)
    assert counted.peak == 8000
    assert third.shape == (10, 100)


@pytest.mark.parametrize("name", COUNTED)
def test_a_step_holds_what_is_counted(name: str, counted: dict[str, int]) -> None:
    config, overrides = COUNTED[name]
    experiment = read([config], *QUARTER, *overrides)
    assert memory_need(experiment, (1, 1, 1)).step == pytest.approx(counted[name], rel=0.15)


@pytest.mark.parametrize("name", ["neus-dtu", "nerf-blender", "neus-demo"])
def test_weights_are_those_of_the_model(name: str) -> None:
    experiment = read([name], "model.grid_resolution=32", "model.geometry.xyz_encoding_config.log2_hashmap_size=14")
    model = registry.build(experiment.model)
    held = sum(PARAMETER_BYTES * part.numel() for part in model.parameters())
    held += sum(part.numel() * part.element_size() for part in model.buffers())
    assert memory_need(experiment, (1, 1, 1)).weights == pytest.approx(held, rel=0.15)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_config_fits_six_gigabytes(name: str) -> None:
    assert memory_need(read(SHIPPED[name]), photographs_of(name)).whole < 6e9


@pytest.mark.parametrize("name", HIGH)
def test_the_high_quality_fits_eleven_gigabytes(name: str) -> None:
    assert memory_need(read([*SHIPPED[name], "quality/high"]), photographs_of(name)).whole < 11e9


def test_photographs_count_with_four_bytes_a_pixel() -> None:
    need = memory_need(read(["neus-blender"]), (10, 30, 20))
    assert need.photographs == 10 * 30 * 20 * 4
    assert need.training - need.photographs == memory_need(read(["neus-blender"]), (0, 1, 1)).training


def test_the_mesh_holds_what_was_measured() -> None:
    result = json.loads((ROOT / "benchmarks/results/export.json").read_text(encoding="utf-8"))
    measured = {row["resolution"]: row["peak_gpu_memory_mib"] for row in result["meshes"]}
    assert {size: pytest.approx(mib, rel=0.02) for size, mib in measured.items()} == MESH_MIB


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("config", ["neus-blender", "neus-demo"])
def test_a_run_stays_within_six_gigabytes(config: str, tmp_path: Path) -> None:
    """The allocator is told of 6 GB less what CUDA takes; nothing is halved in training, and the mesh is there."""
    root = write_sphere_scene(tmp_path / "scene")
    device, whole = torch.device("cuda", 0), torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    held = torch.cuda.memory_reserved(device)
    torch.cuda.set_per_process_memory_fraction(min(1.0, (6e9 - RUNTIME + held) / whole), device)
    argv = ["--config", f"configs/{config}.yaml"]
    folders = ["--exp_dir", str(tmp_path / "exp"), "--runs_dir", str(tmp_path / "runs")]
    few = ["dataset.scene=x", f"dataset.root_dir={root}", "trainer.max_steps=40", "system.warmup_steps=10"]
    try:
        assert launch.main([*argv, "--train", "--gpu", "0", *folders, *few]) == 0
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    metrics = json.loads(next(tmp_path.glob("exp/*/*/save/metrics.json")).read_text(encoding="utf-8"))
    assert not [line for line in metrics["warnings"] if "out of memory" in line]
    assert torch.cuda.max_memory_reserved(device) <= 6e9 - RUNTIME + held
