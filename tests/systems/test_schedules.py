"""Learning-rate schedules against torch's own."""

import pytest
import torch

from systems.schedules import SchedulerConfig
from utils.errors import ConfigError

lr = torch.optim.lr_scheduler


def torch_factors(make: object, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, found = make(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("node", "make"),
    [
        ({"name": "ConstantLR", "args": {"factor": 0.5, "total_iters": 7}}, lambda o: lr.ConstantLR(o, 0.5, 7)),
        ({"name": "LinearLR", "args": {"start_factor": 0.1, "total_iters": 9}}, lambda o: lr.LinearLR(o, 0.1, 1.0, 9)),
        ({"name": "ExponentialLR", "args": {"gamma": 0.9}}, lambda o: lr.ExponentialLR(o, 0.9)),
        (
            {"name": "MultiStepLR", "args": {"milestones": [4, 9], "gamma": 0.3}},
            lambda o: lr.MultiStepLR(o, [4, 9], 0.3),
        ),
        (
            {
                "name": "SequentialLR",
                "interval": "step",
                "milestones": [5],
                "schedulers": [
                    {"name": "LinearLR", "args": {"start_factor": 0.01, "end_factor": 1.0, "total_iters": 5}},
                    {"name": "ExponentialLR", "args": {"gamma": 0.8}},
                ],
            },
            lambda o: lr.SequentialLR(o, [lr.LinearLR(o, 0.01, 1.0, 5), lr.ExponentialLR(o, 0.8)], [5]),
        ),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_same_as_torch(node: dict, make: object) -> None:
    config = SchedulerConfig.from_config(node, "scheduler")
    assert [config.at(step) for step in range(15)] == pytest.approx(torch_factors(make, 15))
    assert SchedulerConfig.from_config(config.to_config(), "scheduler") == config


@pytest.mark.parametrize(
    "node",
    [
        {"name": "LinearLr"},
        {"name": "ExponentialLR", "args": {}},
        {"name": "ExponentialLR", "gamma": 0.9},
        {"name": "ConstantLR", "interval": "epoch"},
        {"name": "SequentialLR", "milestones": [], "schedulers": []},
        "ConstantLR",
    ],
)
def test_bad_schedulers_are_refused_with_their_place(node: object) -> None:
    with pytest.raises(ConfigError, match=r"system\.scheduler"):
        SchedulerConfig.from_config(node, "system.scheduler")
