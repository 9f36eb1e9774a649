"""The sharpness of a NeuS surface, one learned number."""

import torch
from torch import Tensor, nn

from models import ops
from models.variance_config import VarianceConfig


class Variance(nn.Module):
    """The learned sharpness of the surface, inv_s = exp(10 v), in 1 / scene unit (Wang et al. 2021)."""

    def __init__(self, config: VarianceConfig, backend: str = "auto") -> None:
        super().__init__()
        self.backend = backend
        self.variance = nn.Parameter(torch.tensor(config.init_val))

    def forward(self) -> Tensor:
        """inv_s, () in [1e-6, 1e6]."""
        return ops.sharpness(self.variance, backend=self.backend)
