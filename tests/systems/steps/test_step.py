"""Training steps on a CPU: what a loss needs beside rays reaches it, and only where the loss has a weight."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sphere_scene import RADIUS, write_sphere_scene
from torch import Tensor

from datasets.sampler import RaySampler
from datasets.scene import Scene
from models.base import VolumeModel
from systems.configs import read_experiment
from systems.steps.optim import build_optimizer
from systems.steps.step import TrainingStep
from utils import registry
from utils.errors import ConfigError

SMALL = [
    "dataset.root_dir=unused",
    "model.num_samples_per_ray=64",
    "model.train_num_rays=16",
    "model.max_train_num_rays=128",
    "model.grid_resolution=16",
    "model.geometry.xyz_encoding_config.n_levels=4",
    "model.geometry.xyz_encoding_config.log2_hashmap_size=10",
    "system.warmup_steps=1",
]
ALONE = ["system.loss.lambda_rgb_mse=0", "system.loss.lambda_mask=0"]  # beside the eikonal loss


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A sphere with points on it; the model starts as one that is a tenth larger."""
    root = write_sphere_scene(tmp_path_factory.mktemp("sphere"))
    experiment = read_experiment(["configs/neus-demo.yaml"], [*SMALL, f"dataset.root_dir={root}"])
    places = np.random.default_rng(0).normal(size=(500, 3))
    points = 0.97 * RADIUS * places / np.linalg.norm(places, axis=1, keepdims=True)
    return replace(registry.build(experiment.dataset).load("train"), points=points.astype(np.float32))


def run(scene: Scene, overrides: list[str], num: int) -> tuple[VolumeModel, list[Tensor], TrainingStep]:
    """The model after some steps and the terms of the losses in each."""
    experiment = read_experiment(["configs/neus-demo.yaml"], [*SMALL, *overrides])
    torch.manual_seed(0)
    model, device = registry.build(experiment.model), torch.device("cpu")
    optimizer = build_optimizer(experiment.system, model.parts())
    steps, terms = TrainingStep(model, experiment, RaySampler(scene, device), optimizer, device, False), []
    for step in range(num):
        figures = steps.run(step)
        optimizer.zero_grad()
        figures.loss.backward()
        optimizer.step()
        terms.append(dict(zip(figures.names, figures.terms, strict=True)))
    return model, terms, steps


def test_sparse_points_alone_bring_the_surface_to_them(scene: Scene) -> None:
    model, terms, _ = run(scene, [*ALONE, "system.loss.lambda_sparse_points=1"], 40)
    with torch.no_grad():
        left = model.field_value(torch.from_numpy(scene.points)).abs().mean()
    assert terms[0]["sparse_points"] > 0.03
    assert left < 0.015


def test_a_scene_without_points_is_trained_without(scene: Scene) -> None:
    for points in (None, scene.points + 9.0):
        plain = replace(scene, points=points, pixels=np.full_like(scene.pixels, 200))
        _, terms, _ = run(plain, ["system.loss.lambda_sparse_points=[0,1,0,9]"], 2)
        assert "sparse_points" not in terms[0]


def test_patches_are_compared_from_the_step_on_that_the_schedule_says(scene: Scene) -> None:
    options = ["system.loss.lambda_ncc=[[1,0],[2,0.1]]", "system.loss.ncc_patch=5"]
    _, terms, _ = run(scene, options, 4)
    assert ["ncc" in found for found in terms] == [False, False, True, True]
    assert all(0.0 < found["ncc"] < 1.0 for found in terms[2:])


def test_what_no_loss_reads_is_not_made(scene: Scene) -> None:
    _, _, steps = run(scene, ["system.loss.lambda_ncc=0", "system.loss.lambda_sparse_points=0"], 1)
    assert steps.sources is None
    assert steps.points is None
    assert steps.error_map is None


def test_the_mean_of_the_rays_of_a_pixel_is_compared_with_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against means by hand, of the rays that the step has drawn."""
    seen = {}
    draw, render = RaySampler.draw, VolumeModel.render

    def drawn(*args: object, **options: object) -> object:
        seen["batch"] = draw(*args, **options)
        return seen["batch"]

    def rendered(*args: object, **options: object) -> object:
        seen["out"] = render(*args, **options)
        return seen["out"]

    monkeypatch.setattr(RaySampler, "draw", drawn)
    monkeypatch.setattr(VolumeModel, "render", rendered)
    _, terms, _ = run(scene, ["model.rays_per_pixel=4", "model.max_train_num_rays=130"], 1)
    batch, out = seen["batch"], seen["out"]
    assert len(batch.rays) == 128
    rgb, within_budget, ray_count = out.rgb.view(32, 4, 3), out.within_budget.view(32, 4), out.ray_count.view(32, 4)
    counts = within_budget.all(1) & (ray_count > 0).any(1)
    assert 0 < counts.sum() < 32
    first, second = rgb[:, :2].mean(1), rgb[:, 2:].mean(1)
    errors = ((first - batch.rgb[::4]) * (second - batch.rgb[::4])).mean(-1)
    torch.testing.assert_close(terms[0]["rgb_mse"], errors[counts].mean().detach())
    opacity, mask = out.opacity.view(32, 4).mean(1).clamp(1e-3, 1.0 - 1e-3), batch.mask[::4]
    entropy = torch.nn.functional.binary_cross_entropy(opacity, mask, reduction="none")
    torch.testing.assert_close(terms[0]["mask"], entropy[within_budget.all(1)].mean().detach())


def test_patches_are_compared_with_several_rays_in_a_pixel(scene: Scene) -> None:
    options = ["system.loss.lambda_ncc=0.1", "system.loss.ncc_patch=5", "model.rays_per_pixel=2"]
    _, terms, _ = run(scene, options, 2)
    assert all(0.0 < found["ncc"] < 1.0 for found in terms)


@pytest.mark.parametrize("number", [3, 7])
def test_rays_of_a_pixel_come_in_two_halves(number: int) -> None:
    with pytest.raises(ConfigError, match=rf"model\.rays_per_pixel: expected .*, got {number}"):
        read_experiment(["configs/neus-demo.yaml"], [*SMALL, f"model.rays_per_pixel={number}"])
