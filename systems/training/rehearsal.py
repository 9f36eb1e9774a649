"""Steps of a training at small sizes on a CPU, for the kernels that the real ones launch on a card."""

import logging
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models import ops
from models.base import VolumeModel
from models.inference import render_rays
from models.occupancy import PIECE, OccupancyGrid
from models.photographs.poses import CameraCorrections
from systems.auto_radius import asks_for_radius, with_radius
from systems.configs import Experiment
from systems.steps.optim import build_optimizer
from systems.steps.step import TrainingStep
from utils import registry
from utils.rays import Photographs, RayBatch, Redirect, SourceViews

_SMALL = {
    "num_samples_per_ray": 64,
    "train_num_rays": 16,
    "max_train_num_rays": 64,
    "log2_hashmap_size": 8,
    "ncc_rays": 16,
}
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

    def count_views(self, points: Tensor, reach: Tensor, most: int) -> Tensor:
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


def rehearse(experiment: Experiment, trained: Callable[[], None] = lambda: None) -> None:
    """Trains and renders the model of an experiment, for its launches alone, since its numbers mean nothing; call it
    within `models.ops.launches.noted`. Logs nothing, and leaves random numbers as they are.

    trained: is called after a step at the beginning and one at the end of a training, and before a view."""
    if asks_for_radius(experiment):
        experiment, _ = with_radius(experiment, 1.0, True)
    model, system = small(replace(experiment.model, grid_min_views=0)), small(experiment.system)
    experiment = replace(experiment, model=model, system=system)
    with _in_silence(), _same_random_numbers():
        torch.manual_seed(0)
        model, views = registry.build(experiment.model), Pixels()
        for part in model.modules():
            if isinstance(part, OccupancyGrid):  # of the real resolution, which kernels are compiled for
                part.update = partial(_visit_few, part)
        with torch.autocast("cpu", torch.float16, enabled=experiment.trainer.precision == "16"):
            _train(experiment, model, views)
        trained()
        with torch.no_grad():
            batch = views.draw(64, torch.zeros(3), torch.Generator())
            render_rays(model, batch.rays, batch.background)
            views.draw(16, batch.background, torch.Generator(), per_pixel=4)  # as several rays of an edge are
            model.color(torch.zeros(64, 3), torch.ones(64, 3))
            model.field_value(torch.zeros(64, 3))


def _visit_few(
    grid: OccupancyGrid, evaluate: Callable[[Tensor], Tensor], generator: torch.Generator, every_cell: bool
) -> None:
    """In place of `OccupancyGrid.update`: as many points as there are sizes of pieces, each as divisible by 16."""
    num = grid.value.shape[0] if every_cell else grid.value.shape[0] // 8 * 2
    for size in filter(None, dict.fromkeys((min(num, PIECE), num % PIECE))):
        cells = torch.arange(min(size, 1024 + size % 16))
        evaluate(grid.points_in_cells(cells, torch.rand((len(cells), 3), generator=generator)))


def _train(experiment: Experiment, model: VolumeModel, views: Pixels) -> None:
    """Two steps, and both refreshes of the occupancy grid."""
    parts, poses = model.parts(), None
    if not experiment.system.refine_poses.is_zero:
        poses = CameraCorrections.of(views.photographs, views.heights)
        parts |= {"poses": list(poses.parameters())}
    optimizer = build_optimizer(experiment.system, parts)
    step = TrainingStep(model, experiment, views, optimizer, torch.device("cpu"), False, poses=poses)
    for number in (0, experiment.trainer.max_steps // 2 + 1):
        step.run(number).loss.backward()
    optimizer.step()
    model.update_occupancy(step.generator, True)


@contextmanager
def _in_silence() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """The global generators go on as if nobody had drawn."""
    plain, numbers = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(plain)
        np.random.set_state(numbers)


def small(config: Any) -> Any:
    """The settings of a model or system with sizes that are small, and as divisible by 16 as they were.

    A background keeps its own: its kernels are compiled for the resolution of its grid."""
    changes = {}
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value) and item.name != "background":
            changes[item.name] = small(value)
        elif item.name in _SMALL and isinstance(value, int):
            changes[item.name] = min(value, _SMALL[item.name] + value % 16)
    changed = {name: value for name, value in changes.items() if value is not getattr(config, name)}
    return replace(config, **changed) if changed else config
