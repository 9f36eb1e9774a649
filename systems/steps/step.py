"""One training step: rays, render, weighted losses and, where it is captured, gradients and optimiser."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from models.base import VolumeModel
from models.configs import VolumeModelConfig
from models.photographs.photometry import Photometry
from models.photographs.poses import CameraCorrections
from systems.configs import Experiment
from systems.losses import color_error, find, order
from systems.steps.error_map import ErrorMap
from systems.steps.graphs import StepGraphs
from systems.steps.optim import LearningRates
from systems.steps.ranks import Ranks
from systems.views import TrainingViews
from utils import registry
from utils.rays import RayBatch

BACKGROUNDS = {"white": 1.0, "black": 0.0, "random": 1.0}  # what a view is compared over


def view_background(model: VolumeModelConfig, device: torch.device) -> Tensor:
    """(3,) the colour behind a whole view: what the background of a model and `background_color` mean there."""
    return torch.full((3,), BACKGROUNDS[model.shown_over], device=device)


@dataclass(frozen=True)
class Figures:
    """What a step leaves for the log, on the device."""

    names: tuple[str, ...]  # of the losses
    loss: Tensor  # (), their weighted sum
    terms: Tensor  # (n,), before weighting
    mse: Tensor  # () of the colour
    within_budget: Tensor  # (R,) bool, of the rays
    samples: Tensor  # () in use
    inv_s: Tensor | None  # () of a NeuS

    def by_name(self) -> dict[str, Tensor]:
        """Each () under the name that it has in the log."""
        rays = self.within_budget.sum()
        values = {"loss": self.loss, "mse": self.mse, "rays": rays, "samples": self.samples}
        values |= {} if self.inv_s is None else {"inv_s": self.inv_s}
        return values | {f"loss/{name}": term for name, term in zip(self.names, self.terms.unbind(), strict=True)}


class TrainingStep:
    """Runs the steps of a training; `captured`: gradients and optimiser too, as CUDA graphs.

    The host reads nothing from the device, and what changes with the step is written there before it."""

    def __init__(
        self,
        model: VolumeModel,
        experiment: Experiment,
        views: TrainingViews,
        optimizer: torch.optim.Optimizer,
        device: torch.device,
        captured: bool,
        photometry: Photometry | None = None,
        error_map: ErrorMap | None = None,
        poses: CameraCorrections | None = None,
    ) -> None:
        self.model, self.experiment, self.views, self.optimizer = model, experiment, views, optimizer
        self.device, self.captured, self.photometry, self.error_map = device, captured, photometry, error_map
        self.poses, self.moving = poses, False
        config = experiment.system.loss
        self.schedules = dict(config.weights)
        self.losses = {name: registry.find("loss", name).target for name in sorted(self.schedules, key=order)}
        if photometry is not None:
            self.schedules["photometric_prior"] = experiment.system.photometric_prior
            self.losses["photometric_prior"] = lambda out, batch, config: photometry.prior()
        self.sources = None if config.is_off("ncc") else views.sources(config.ncc_views)
        no_points = config.is_off("sparse_points")
        self.points = None if no_points else views.sparse_points(experiment.model.radius)
        if self.points is None:
            self.losses.pop("sparse_points", None)
        if views.lamp_axes is not None:
            model.set_lamp_axes(views.lamp_axes)
        if experiment.model.grid_min_views:
            model.limit_to_covered(views.count_views)
        self.rates, self.ranks = LearningRates(optimizer), Ranks.joined()
        self.generator = torch.Generator(device)
        self._graphs = StepGraphs(self.generator)
        self._weights: dict[tuple[str, ...], tuple[list[float], Tensor]] = {}  # (n,) on the device

    def run(self, step: int) -> Figures:
        """The figures of a step; where it is not captured, their loss carries the gradient."""
        # Random numbers depend on seed and step alone: a resumed run draws what the whole run drew.
        seed = self.experiment.seed * 1_000_003 + step
        self.generator.manual_seed(seed)
        self.rates.set(*self._schedule(step))
        self.moving = self.poses is not None and self.experiment.system.refine_poses.at(step) > 0.0
        self.model.on_step(step)
        due = self.model.occupancy_due(step)
        if due is not None:
            self._run(("occupancy", due), partial(self.model.update_occupancy, self.generator, due))
        if self.ranks.own > 0:  # rays of its own, after cells that are the same for all
            self.generator.manual_seed(self.ranks.seed(seed))
        names = self._weigh(step)
        whole = self._optimised if self.captured else self._loss
        return self._run((names, self.moving, self.model.graph_key), partial(whole, names))

    def _schedule(self, step: int) -> tuple[float, dict[str, float]]:
        """The factor of all learning rates at a step, and the rates that have a schedule of their own."""
        return self.experiment.system.scheduler.at(step), {"poses": self.experiment.system.refine_poses.at(step)}

    def rates_at(self, step: int) -> dict[str, float]:
        """The learning rate of each part that is trained, at a step; reads nothing from the device."""
        return self.rates.at(*self._schedule(step))

    def _run(self, key: Hashable, function: Callable[[], Any]) -> Any:
        return self._graphs.run(key, function) if self.captured else function()

    def close(self) -> None:
        """Gives back what only further steps would need."""
        self._graphs.clear()

    def _weigh(self, step: int) -> tuple[str, ...]:
        """Puts the weights of this step on the device where they changed; returns the losses that have one."""
        weights = {name: self.schedules[name].at(step) for name in self.losses}
        weights = {name: weight for name, weight in weights.items() if weight != 0.0}
        names, values = tuple(weights), list(weights.values())
        if names not in self._weights:
            self._weights[names] = values, torch.tensor(values, device=self.device)
        before, there = self._weights[names]
        for index, (old, new) in enumerate(zip(before, values, strict=True)):
            if old != new:
                there[index].fill_(new)
        self._weights[names] = values, there
        return names

    def _background(self) -> Tensor:
        if self.experiment.model.shown_over == "random":
            return torch.rand(3, generator=self.generator, device=self.device)
        return view_background(self.experiment.model, self.device)

    def _loss(self, names: tuple[str, ...]) -> Figures:
        """Draws rays, renders them and weighs the named losses."""
        background, config = self._background(), self.experiment.system.loss
        each = self.experiment.model.rays_per_pixel
        batch = self.views.draw(self.model.num_rays // each, background, self.generator, self.error_map, each)
        points = self._some_points() if "sparse_points" in names else None
        batch = self._corrected(replace(batch, sources=self.sources, points=points))
        out = self.model.render(batch.rays, background, self.generator, frozenset(names))
        if self.photometry is not None:
            out = replace(out, rgb=self.photometry(out.rgb, out.opacity, batch))
        if each > 1:
            batch, out = batch.by_pixel(each), out.by_pixel(each)
        if self.error_map is not None:
            error = color_error(out, batch, config).abs().mean(-1)
            self.error_map.update(batch.pixel, batch.image, error, out.within_budget)
        terms, mse = find(self.losses, names, out, batch, config, self.experiment.model.backend)
        loss = (terms * self._weights[names][1]).sum()
        inv_s = None if out.inv_s is None else out.inv_s.detach()
        return Figures(names, loss, terms.detach(), mse, out.within_budget, out.samples.packed.num_samples, inv_s)

    def _corrected(self, batch: RayBatch) -> RayBatch:
        """The batch as the corrected cameras took it; no gradient reaches them while they stay."""
        if self.poses is None:
            return batch
        with torch.set_grad_enabled(self.moving):
            sources = batch.sources
            if sources is not None:
                sources = replace(sources, photographs=self.poses.corrected(sources.photographs))
            return replace(batch, rays=self.poses(batch.rays, batch.image), sources=sources)

    def _some_points(self) -> Tensor:
        """(K, 3) sparse points, drawn with replacement."""
        count = self.experiment.system.loss.sparse_points_num
        chosen = torch.randint(len(self.points), (count,), generator=self.generator, device=self.device)
        return self.points[chosen]

    def _optimised(self, names: tuple[str, ...]) -> Figures:
        """Loss, gradients and the step of the optimiser."""
        figures = self._loss(names)
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        # of a scalar: with a gradient of it given, torch imports its symbolic shapes, which takes seconds
        gradients = torch.autograd.grad(figures.loss, parameters, allow_unused=True)
        self.ranks.average([gradient for gradient in gradients if gradient is not None])
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        return replace(figures, loss=figures.loss.detach())
