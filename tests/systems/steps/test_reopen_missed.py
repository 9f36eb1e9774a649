"""A hole in the occupancy grid heals at the next refresh where the photographs show something, if that is asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sphere_scene import write_sphere_scene

from datasets.sampler import RaySampler
from models.base import VolumeModel
from systems.configs import Experiment, read_experiment
from systems.steps.optim import build_optimizer
from systems.steps.step import TrainingStep
from utils import registry

SMALL = [
    "model.num_samples_per_ray=64",
    "model.train_num_rays=64",
    "model.max_train_num_rays=512",
    "model.grid_resolution=32",
    "model.grid_warmup_steps=0",
    "model.geometry.xyz_encoding_config.n_levels=4",
    "model.geometry.xyz_encoding_config.log2_hashmap_size=10",
]
LEVERS = {"with masks": ["model.grid_reseed=true"], "by colour": ["model.grid_reseed=true"], "off": []}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sphere_scene(tmp_path_factory.mktemp("sphere"))


def emptied_in_a_part(experiment: Experiment) -> VolumeModel:
    """A sphere about as large as that of the photographs, half of whose cells are taken for empty."""
    torch.manual_seed(0)
    model = registry.build(experiment.model)
    model.update_occupancy(torch.Generator().manual_seed(0), every_cell=True)
    half = model.occupancy.resolution // 2
    model.occupancy.occupied[half:] = False
    model.occupancy.value.view_as(model.occupancy.occupied)[half:] = 0.0
    return model


def test_nothing_is_opened_while_every_cell_is_looked_at(scene: Path) -> None:
    overrides = [f"dataset.root_dir={scene}", *SMALL, "model.grid_reseed=true", "model.grid_warmup_steps=32"]
    experiment = read_experiment(["configs/neus-demo.yaml"], overrides)
    model = emptied_in_a_part(experiment)
    batch = RaySampler(registry.build(experiment.dataset).load("train"), "cpu").image(0, torch.zeros(3))
    with torch.no_grad():
        out = model.render(batch.rays, torch.zeros(3))
    worth = [model.occupancy.value.sum().item()]
    for step in (31, 32):
        model.on_step(step)
        model.reopen_missed(batch, out)
        worth.append(model.occupancy.value.sum().item())
    assert worth[0] == worth[1] < worth[2]


def seen_share(model: VolumeModel, views: RaySampler) -> float:
    """The share of the pixels within the masks of some views that the model shows."""
    opacity = []
    for index in range(0, len(views), 4):
        batch = views.image(index, torch.zeros(3))
        with torch.no_grad():
            opacity.append(model.render(batch.rays, torch.zeros(3)).opacity[batch.rgb.sum(-1) > 0.0])
    return (torch.cat(opacity) > 0.5).float().mean().item()


@pytest.mark.parametrize("lever", LEVERS)
def test_a_part_that_was_emptied_comes_back(scene: Path, lever: str) -> None:
    overrides = [f"dataset.root_dir={scene}", "model.background_color=black", *SMALL, *LEVERS[lever]]
    experiment = read_experiment(["configs/neus-demo.yaml"], overrides)
    model, device = emptied_in_a_part(experiment), torch.device("cpu")
    photographs = registry.build(experiment.dataset).load("train")
    if lever == "by colour":
        photographs = replace(photographs, pixels=np.ascontiguousarray(photographs.pixels[:, :3]))
    views = RaySampler(photographs, device)
    assert seen_share(model, views) < 0.6
    optimizer = build_optimizer(experiment.system, model.parts())
    steps = TrainingStep(model, experiment, views, optimizer, device, False)
    for step in range(1, experiment.model.grid_update_every + 1):
        steps.run(step)
    found = seen_share(model, views)
    assert found < 0.9 if lever == "off" else found > 0.97
