"""Protocols: what training and export need of the photographs of a split."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from utils.cameras import Camera
from utils.mesh.stand import Stand
from utils.rays import RayBatch, Redirect, SourceViews


class Shown(Protocol):
    """Makes of a model's colours those that are shown, see `models.photographs.photometry.AsShown`."""

    def __call__(self, rgb: Tensor, opacity: Tensor | None = None, background: Tensor | None = None) -> Tensor: ...


def as_rendered(rgb: Tensor, opacity: Tensor | None = None, background: Tensor | None = None) -> Tensor:
    """The colours (R, 3) as they are: those of a model that knows no exposures."""
    return rgb


class TrainingViews(Protocol):
    """Draws the rays of a training step."""

    capturable: bool  # whether a CUDA graph can capture `draw`

    @property
    def lamp_axes(self) -> Tensor | None: ...  # (G, 3), see VolumeModel.set_lamp_axes; None: lamps stand still

    def draw(
        self,
        num_rays: int,
        background: Tensor,
        generator: torch.Generator,
        redirect: Redirect | None = None,
        per_pixel: int = 1,
    ) -> RayBatch: ...
    def count_views(self, points: Tensor, reach: Tensor, most: int) -> Tensor: ...
    def sources(self, num: int) -> SourceViews: ...
    def sparse_points(self, radius: float) -> Tensor | None: ...


class PosedViews(Protocol):
    """The photographs of a split with their cameras."""

    @property
    def ground(self) -> np.ndarray | None: ...  # (4,) nx, ny, nz, d: the object stands on n @ x = d; None: unknown

    @property
    def stand(self) -> Stand: ...  # in the scene frame

    def __len__(self) -> int: ...
    def camera(self, index: int) -> Camera: ...
    def photograph(self, index: int) -> np.ndarray: ...
    def photograph_to_show(self, index: int) -> np.ndarray: ...  # alpha 0 where masks say not to look
    def draw(self, num_rays: int, background: Tensor, generator: torch.Generator) -> RayBatch: ...
