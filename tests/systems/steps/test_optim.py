"""What `system.optimizer` makes of the parts of a model."""

from dataclasses import replace

import pytest
import torch

from systems.configs import GroupArgs, OptimizerArgs, OptimizerConfig, SystemConfig
from systems.loss_config import LossConfig
from systems.steps.optim import LearningRates, build_optimizer, restore_settings


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


def one_step(optimizer: torch.optim.Optimizer, factor: float) -> None:
    LearningRates(optimizer).set(factor)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, 0.5)
    optimizer.step()


def resumed(before: OptimizerConfig, after: OptimizerConfig) -> tuple[torch.optim.Optimizer, list[str]]:
    """An optimiser of the second config after three steps of one of the first, by way of a checkpoint."""
    optimizers = []
    for config in (before, after):
        parts = {name: [torch.nn.Parameter(torch.ones(3))] for name in ("geometry", "texture")}
        config = SystemConfig(LossConfig({}), config)
        optimizers.append(build_optimizer(config, parts))
    for factor in (0.1, 1.0, 0.5):
        one_step(optimizers[0], factor)
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    return optimizers[1], restore_settings(optimizers[1], config, parts)


USUAL = OptimizerConfig(params={"texture": GroupArgs(lr=0.02)})


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (USUAL, []),
        (replace(USUAL, args=OptimizerArgs(lr=0.001)), ["geometry lr 0.01 -> 0.001"]),
        (replace(USUAL, params={"texture": GroupArgs(lr=0.03)}), ["texture lr 0.02 -> 0.03"]),
        (
            replace(USUAL, args=OptimizerArgs(betas=(0.5, 0.6), eps=1e-8)),
            [
                f"{part} {change}"
                for part in ("geometry", "texture")
                for change in ("betas (0.9, 0.99) -> (0.5, 0.6)", "eps 1e-15 -> 1e-08")
            ],
        ),
        (
            replace(USUAL, params={"texture": GroupArgs(lr=0.02, weight_decay=0.5)}),
            ["texture weight_decay 0.01 -> 0.5"],
        ),
        (
            replace(USUAL, name="Adam", args=OptimizerArgs(weight_decay=0.01)),
            [f"{part} decoupled_weight_decay True -> False" for part in ("geometry", "texture")],
        ),
    ],
)
def test_a_resumed_optimiser_has_the_settings_of_the_config(after: OptimizerConfig, told: list[str]) -> None:
    """It steps as one that had them all along, from the moments of the checkpoint."""
    optimizer, changed = resumed(USUAL, after)
    assert changed == told
    twin, _ = resumed(after, after)
    for own, other in zip(optimizer.param_groups, twin.param_groups, strict=True):
        states = optimizer.state[own["params"][0]], twin.state[other["params"][0]]
        assert states[0]["step"] == 3
        for name, value in states[0].items():
            states[1][name].copy_(value)
    one_step(optimizer, 0.25)
    one_step(twin, 0.25)
    for own, other in zip(optimizer.param_groups, twin.param_groups, strict=True):
        assert own["lr"] == 0.25 * own["initial_lr"]
        assert torch.equal(own["params"][0], other["params"][0])


@pytest.mark.parametrize("as_closure", [True, False])
def test_a_table_is_stepped_once_with_the_gradient_of_this_step(as_closure: bool) -> None:
    """Lightning gives the backward pass as a closure; the gradients of the step before are there until then."""
    table, other, twin = (torch.nn.Parameter(torch.ones(6, 2)) for _ in range(3))
    table.in_part = True
    optimizer = build_optimizer(SystemConfig(LossConfig({}), OptimizerConfig()), {"geometry": [table, other]})
    whole = build_optimizer(SystemConfig(LossConfig({}), OptimizerConfig()), {"geometry": [twin]})
    for step in range(1, 5):
        gradient = torch.full((6, 2), (-1.0) ** step * step)

        def backward(gradient: torch.Tensor = gradient) -> float:
            table.grad, other.grad = gradient.clone(), gradient.clone()
            return 7.0

        if as_closure:
            assert optimizer.step(backward) == 7.0
        else:
            backward()
            assert optimizer.step() is None
        twin.grad = gradient
        whole.step()
        torch.testing.assert_close(table, twin)
        torch.testing.assert_close(other, twin)
    table.grad, other.grad, before = torch.zeros_like(table), torch.zeros_like(other), table.detach().clone()
    optimizer.step()
    assert torch.equal(table, before)
    assert not torch.equal(other, before)


def test_the_rates_that_are_told_are_those_that_are_set() -> None:
    parts = {name: [torch.nn.Parameter(torch.zeros(2))] for name in ("geometry", "texture", "poses")} | {"none": []}
    optimizer = build_optimizer(SystemConfig(LossConfig({}), USUAL), parts)
    rates = LearningRates(optimizer)
    rates.set(0.25, {"poses": 0.125})
    told = rates.at(0.25, {"poses": 0.125, "absent": 1.0})
    assert told == {group["name"]: group["lr"] for group in optimizer.param_groups if group["params"]}
    assert told == {"geometry": 0.0025, "texture": 0.005, "poses": 0.125}
