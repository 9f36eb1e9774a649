"""Steps of trainings, small ones of the shipped configs, for the launches that they make."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
from torch import Tensor

from models import background, base, ops
from models.inference import render_rays
from models.photographs.poses import CameraCorrections
from systems.configs import Experiment, read_experiment
from systems.steps.optim import build_optimizer
from systems.steps.step import TrainingStep
from utils import registry
from utils.rays import Photographs, RayBatch, Redirect, SourceViews

_HALF, _FULL = ["trainer.precision=16"], ["trainer.precision=32"]
_PATCHES = ["system.loss.lambda_ncc=0.1"]
_GLOSSY = "quality/glossy"
# files of configs, and overrides: what ships, and what is found in the documentation of settings
CASES: dict[str, tuple[list[str], list[str]]] = {
    **{name: ([name], []) for name in ("nerf-blender", "nerf-colmap", "neus-blender", "neus-bmvs", "neus-demo")},
    **{name: ([name], []) for name in ("neus-dtu", "neus-dtu-wmask", "neus-colmap", "neuralangelo-dtu-wmask")},
    "neus-capture": (["neus-capture"], _PATCHES),
    "neus-blender, high": (["neus-blender", "quality/high"], []),
    "neus-dtu, glossy": (["neus-dtu", _GLOSSY], []),
    "neus-blender, 32 bits": (["neus-blender"], _FULL),
    "nerf-colmap, 32 bits": (["nerf-colmap"], _FULL),
    "neus-dtu-wmask, cameras move": (["neus-dtu-wmask"], ["system.refine_poses=1e-4", *_PATCHES]),
    "neus-dtu, gated, cameras move": (
        ["neus-dtu"],
        ["system.refine_poses=1e-4", "model.texture.name=volume-gated-radiance"],
    ),
    "neus-dtu, wide": (["neus-dtu"], ["model.geometry.mlp_network_config.n_neurons=128"]),
}
FEW = ("neus-blender",)  # whose kernels take the longest in the most common trainings
_SMALL = [
    "dataset.scene=x",
    "dataset.root_dir=x",
    "model.num_samples_per_ray=64",
    "model.train_num_rays=16",
    "model.max_train_num_rays=64",
    "model.grid_resolution=32",
    "model.geometry.xyz_encoding_config.log2_hashmap_size=8",
    "system.loss.ncc_rays=16",
]
IMAGES, SIDE = 16, 16  # photographs, and pixels along a side of them


class Pixels:
    """As much of photographs on a device as a training step asks for."""

    capturable, lamp_axes = True, None

    def __init__(self) -> None:
        starts, side = torch.arange(IMAGES) * SIDE**2, torch.full((IMAGES,), SIDE)
        cameras = torch.eye(3, 4).repeat(IMAGES, 1, 1), torch.ones(IMAGES, 4)
        pixels = torch.full((IMAGES * SIDE**2, 4), 99, dtype=torch.uint8)
        self.photographs, self.heights = Photographs(pixels, starts, side, *cameras, 0.1, 9.0), side

    def draw(
        self,
        num_rays: int,
        background: Tensor,
        generator: torch.Generator,
        redirect: Redirect | None = None,
        per_pixel: int = 1,
    ) -> RayBatch:
        """Rays of the first pixel, with shifts where there are several of each."""
        shift = torch.zeros(num_rays * per_pixel, 2) if per_pixel > 1 else None
        zero = torch.zeros(num_rays * per_pixel, dtype=torch.int64)
        return ops.rays_of_pixels(self.photographs, zero, zero, background, shift)

    def count_views(self, points: Tensor, reach: Tensor) -> Tensor:
        """That all cameras see all."""
        return torch.full_like(points[:, 0], IMAGES)

    def sources(self, num: int) -> SourceViews:
        """Each photograph as its own neighbours."""
        neighbours = torch.arange(IMAGES)[:, None].repeat(1, num)
        grey = self.photographs.pixels[:, 0].contiguous()
        return SourceViews(self.photographs, self.heights, neighbours, grey, torch.ones(IMAGES))

    def sparse_points(self, radius: float) -> Tensor:
        """A few points at the origin."""
        return torch.zeros(16, 3)


@contextmanager
def prepared(name: str) -> Iterator[tuple[Experiment, base.VolumeModel, Pixels]]:
    """The experiment of a case, its model and what it trains on; within, padding stays as on a GPU."""
    files, overrides = CASES[name]
    experiment = read_experiment([f"configs/{file}.yaml" for file in files], [*_SMALL, *overrides])
    torch.manual_seed(0)
    model, half = registry.build(experiment.model), experiment.trainer.precision == "16"
    with ExitStack() as stack:
        for module in (base, background):
            stack.enter_context(mock.patch.object(module, "without_padding", lambda packed: packed))
        stack.enter_context(torch.autocast("cpu", torch.float16, enabled=half))
        yield experiment, model, Pixels()


def run_case(name: str) -> None:
    """A step at the beginning and one at the end of a training, both refreshes of its occupancy grid, a view and
    colours of a mesh; for `noted` launches, since numbers mean nothing."""
    with prepared(name) as (experiment, model, views):
        step = training_step(experiment, model, views, captured=False)
        for number in (0, experiment.trainer.max_steps // 2 + 1):
            step.run(number).loss.backward()
        model.update_occupancy(step.generator, True)
    with torch.no_grad():
        batch = views.draw(64, torch.zeros(3), torch.Generator())
        render_rays(model, batch.rays, batch.background)
        model.color(torch.zeros(64, 3), torch.ones(64, 3))
        model.field_value(torch.zeros(64, 3))


def training_step(experiment: Experiment, model: base.VolumeModel, views: Pixels, captured: bool) -> TrainingStep:
    """The steps of a training, with the optimiser in them if `captured`."""
    parts, poses = model.parts(), None
    if not experiment.system.refine_poses.is_zero:
        poses = CameraCorrections.of(views.photographs, views.heights)
        parts |= {"poses": list(poses.parameters())}
    optimizer = build_optimizer(experiment.system, parts)
    return TrainingStep(model, experiment, views, optimizer, torch.device("cpu"), captured, poses=poses)
