"""What training and export ask of the photographs of a split."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from utils.cameras import Camera
from utils.rays import RayBatch, Redirect, SourceViews


class TrainingViews(Protocol):
    """Where the rays of a step come from."""

    capturable: bool  # by a CUDA graph

    def draw(
        self,
        num_rays: int,
        background: Tensor,
        generator: torch.Generator,
        redirect: Redirect | None = None,
        per_pixel: int = 1,
    ) -> RayBatch: ...
    def count_views(self, points: Tensor, reach: Tensor) -> Tensor: ...
    def sources(self, num: int) -> SourceViews: ...
    def sparse_points(self, radius: float) -> Tensor | None: ...


class PosedViews(Protocol):
    """The photographs of a split."""

    def __len__(self) -> int: ...
    def camera(self, index: int) -> Camera: ...
    def photograph(self, index: int) -> np.ndarray: ...
    def draw(self, num_rays: int, background: Tensor, generator: torch.Generator) -> RayBatch: ...
