"""The model that visitors look at, and what the viewer needs of the run around it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models.base import VolumeModel
from systems.configs import Experiment
from systems.export.exporter import LoadViews
from systems.viewer.photos import ViewerScene
from systems.views import Shown, as_rendered
from utils.mesh import Mesh


@dataclass(frozen=True)
class ViewedModel:
    """A model, and everything around it that the viewer needs."""

    model: VolumeModel
    experiment: Experiment
    scene: ViewerScene  # the training views
    views: LoadViews
    save_dir: Path
    world_from_scene: np.ndarray  # (4, 4)
    up: np.ndarray  # (3,) float64, unit length, in the scene frame
    step: Callable[[], int]  # training steps behind the weights
    status: Callable[[], str]  # lines about them, such as loss and PSNR
    precision: Callable[[], AbstractContextManager]  # context in which views are rendered
    shown: Callable[[], Shown] = lambda: as_rendered  # see `as_shown`; asked for whenever colours are shown
    exported: Callable[[], Mesh | None] = lambda: None  # of this step, in the scene frame; None: no file has one

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.model.occupancy.value.device
