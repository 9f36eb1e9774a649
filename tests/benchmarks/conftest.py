"""A small scene, the settings that make it quick, and a run's folder for the benchmarks to work on."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sphere_scene import write_sphere_scene

from benchmarks.common import run_command
from systems.configs import Experiment, read_experiment
from systems.runs import RunFolder
from utils import registry
from utils.config import schema

CONFIG = "configs/neus-demo.yaml"
SMALL = [
    "trainer.enable_progress_bar=false",
    "trainer.log_every_n_steps=2",
    "model.num_samples_per_ray=64",
    "model.train_num_rays=32",
    "model.max_train_num_rays=256",
    "model.grid_resolution=16",
    "model.ray_chunk=4096",
    "model.geometry.xyz_encoding_config.n_levels=4",
    "model.geometry.xyz_encoding_config.log2_hashmap_size=10",
    "model.geometry.isosurface.resolution=32",
]


@pytest.fixture(scope="session")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """key=value that make configs/neus-demo.yaml small and point it at a scene."""
    return [f"dataset.root_dir={write_sphere_scene(tmp_path_factory.mktemp('scene'))}", *SMALL]


@pytest.fixture(scope="session")
def experiment(overrides: list[str]) -> Experiment:
    return read_experiment([CONFIG], overrides)


@pytest.fixture(scope="session")
def run_folder(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with the checkpoint of an untrained NeuS, whose surface is a sphere."""
    run = RunFolder(tmp_path_factory.mktemp("run"))
    run.create("", schema.to_dict(experiment))
    system = registry.build(experiment.system, experiment, registry.build(experiment.model), run.save)
    torch.save({"state_dict": system.state_dict(), "global_step": 3}, run.ckpt / "epoch=0-step=3.ckpt")
    return run.path


@pytest.fixture
def refused(capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Runs a benchmark's `work` through the command line and returns the one line that it prints about bad input."""

    def run(work: Callable, *argv: str) -> str:
        assert run_command(work, list(argv)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ")
        return line

    return run
