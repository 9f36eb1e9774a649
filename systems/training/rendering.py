"""Renders the views of a pass: held-out photographs, and the frames of an orbit, with what was learned of cameras."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from models.base import VolumeModel
from systems.steps.step import view_background
from systems.training import photographs
from systems.training.data import Data
from systems.training.evaluation import RenderedView, evaluate_view, render_view, render_views
from systems.views import Shown

TOGETHER = 8  # frames of a video that are rendered at a time


@dataclass(frozen=True)
class Renderer:
    """A model, what was learned beside it, and where the views are."""

    model: VolumeModel
    learned: Mapping[str, torch.nn.Module]  # of the training images, see `photographs`
    data: Data
    device: torch.device

    def begin(self, step: int) -> None:
        """Sets the model to a step, and the photographs to the cameras that were learned."""
        self.model.on_step(step)
        self.data.correct_cameras(photographs.corrections_of(self.learned))

    def held_out(self, split: str, index: int) -> RenderedView:
        """A photograph of a split as the model has it, with its metrics."""
        views = self.data.views(split, self.device)
        batch = views.image(index, view_background(self.model.config, self.device))
        seen = photographs.held_out_photometry(self.learned, self.data, split, self.device)
        return evaluate_view(self.model, batch, views.size(index), partial(views.rays, index), seen)

    def predicted(self, index: int) -> RenderedView:
        """A frame of the orbit of --predict, of the size of the first test view."""
        return self.orbit(index, self.data.predicted_views, self.size)

    @property
    def world_up(self) -> list[float]:
        """What is up in the user's coordinates, three numbers of a unit vector."""
        up = self.data.world_from_scene[:3, :3] @ self.data.up
        return ((up / np.linalg.norm(up)).round(6) + 0.0).tolist()  # no -0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first test view."""
        return self.data.views("test", self.device).size(0)

    def orbit(self, index: int, num: int, size: tuple[int, int]) -> RenderedView:
        """Frame `index` of an orbit of `num`, size = (W, H)."""
        rays_at = partial(self.data.orbit, index, num, size, self.device)
        return render_view(self.model, rays_at, view_background(self.model.config, self.device), size, self.shown)

    def orbit_frames(self, num: int, size: tuple[int, int]) -> Iterator[RenderedView]:
        """The frames of an orbit for a video, size = (W, H), a ray through the centre of each pixel: several at a time,
        since the last chunk of a single one would leave most of a GPU idle."""
        pixels, centre = torch.arange(size[0] * size[1], device=self.device), torch.zeros(2, device=self.device)
        background = view_background(self.model.config, self.device)
        for first in range(0, num, TOGETHER):
            indices = range(first, min(first + TOGETHER, num))
            rays = [self.data.orbit(index, num, size, self.device, pixels, centre) for index in indices]
            yield from render_views(self.model, rays, background, size, self.shown)

    @property
    def shown(self) -> Shown:
        """How colours are shown that have no photograph of their own."""
        return photographs.as_shown(self.learned, self.data.views("test", self.device).photograph(0))
