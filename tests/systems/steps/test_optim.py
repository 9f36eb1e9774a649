"""What `system.optimizer` makes of the parts of a model."""

import pytest
import torch

from systems.configs import GroupArgs, LossConfig, OptimizerConfig, SystemConfig
from systems.steps.optim import build_optimizer


@pytest.mark.parametrize(("decay", "left"), [(None, 0.999**5), (2.0, 0.8**5), (0.0, 1.0)])
def test_the_features_of_the_grid_decay_as_asked(decay: float | None, left: float) -> None:
    """Without a gradient of its own a parameter keeps 1 - lr * weight_decay of itself in each step (AdamW)."""
    table, other = (torch.nn.Parameter(torch.ones(4, 2)) for _ in range(2))
    config = OptimizerConfig(params={"geometry": GroupArgs(lr=0.1, weight_decay=decay)})
    optimizer = build_optimizer(SystemConfig(LossConfig({}), config), {"geometry": [table], "texture": [other]})
    for _ in range(5):
        table.grad, other.grad = torch.zeros_like(table), torch.zeros_like(other)
        optimizer.step()
    assert table.detach().mean().item() == pytest.approx(left)
    assert other.detach().mean().item() == pytest.approx((1.0 - 0.01 * 0.01) ** 5)
