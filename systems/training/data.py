"""What the Lightning module needs of `trainer.datamodule`, as protocols: it knows no dataset."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from systems.views import PosedViews, TrainingViews
from utils.cameras import Camera
from utils.mesh import Mesh
from utils.rays import Corrections, Photographs, RayBatch, Rays


class Views(TrainingViews, PosedViews, Protocol):
    """The posed photographs of a split, as rays."""

    photographs: Photographs
    heights: Tensor  # (N,) int64, of the images in pixels

    @property
    def image_names(self) -> tuple[str, ...]: ...
    def image(self, index: int, background: Tensor) -> RayBatch: ...
    def rays(self, index: int, within: Tensor, shift: Tensor) -> Rays: ...
    def size(self, index: int) -> tuple[int, int]: ...


class Data(Protocol):
    """What the module needs of `trainer.datamodule`."""

    world_from_scene: np.ndarray
    orbit_views: int | None
    predicted_views: int
    up: np.ndarray  # (3,) unit vector in the scene frame
    true_mesh: Mesh | None  # in world coordinates

    def views(self, split: str, device: torch.device) -> Views: ...
    def correct_cameras(self, corrections: Corrections | None) -> None: ...
    def orbit(
        self, index: int, num: int, size: tuple[int, int], device: torch.device, pixel: Tensor, shift: Tensor
    ) -> Rays: ...
    def orbit_camera(self, index: int, num: int, size: tuple[int, int]) -> Camera: ...
