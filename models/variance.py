"""The sharpness of a NeuS surface: learned, and where asked for raised to a least value or held back in its growth."""

import math

import torch
from torch import Tensor, nn

from models.variance_config import VarianceConfig


class Variance(nn.Module):
    """The learned sharpness of the surface, inv_s = exp(10 v), in 1 / scene unit (Wang et al. 2021)."""

    def __init__(self, config: VarianceConfig) -> None:
        super().__init__()
        self.config = config
        self.variance = nn.Parameter(torch.tensor(config.init_val))
        if config.modulate:
            # On the device, as part of a captured step. The first belongs to a checkpoint: no later step can tell it.
            self.register_buffer("log_begun", torch.tensor(10.0 * config.init_val))
            self.register_buffer("log_cap", torch.tensor(torch.inf), persistent=False)

    def forward(self) -> Tensor:
        """inv_s, () in [1e-6, 1e6]; with `modulate` at most the cap of this step, at which its gradient is 0."""
        log_inv_s = self.variance * 10.0
        if self.config.modulate:
            log_inv_s = log_inv_s.clamp(max=self.log_cap)
        return torch.exp(log_inv_s).clamp(1e-6, 1e6)

    @torch.no_grad()
    def on_step(self, step: int) -> None:
        """Raises inv_s to the least value of this step, then sets the cap. The host reads nothing."""
        floor = -math.inf
        if self.config.min_inv_s is not None:
            floor = math.log(self.config.min_inv_s.at(step))
            # The parameter itself, as in projected gradient descent: a clamp in `forward` would leave it without a
            # gradient below the least value, from where colours could not make it sharper than that.
            self.variance.clamp_(min=0.1 * floor)
        if self.config.modulate:
            self._move_cap(step, floor)

    def _move_cap(self, step: int, floor: float) -> None:
        """From the inv_s of step mod_start_steps to max_inv_s at reach_max_steps, evenly in log inv_s, but never below
        the logarithm of the least value."""
        config = self.config
        if step <= config.mod_start_steps:
            self.log_begun.copy_(self.variance * 10.0)
            self.log_cap.fill_(torch.inf)
            return
        share = min((step - config.mod_start_steps) / (config.reach_max_steps - config.mod_start_steps), 1.0)
        self.log_cap.copy_((1.0 - share) * self.log_begun + share * math.log(config.max_inv_s)).clamp_(min=floor)
