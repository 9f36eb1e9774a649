"""Optimiser and learning-rate schedule of an experiment."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from systems.configs import SystemConfig
from utils.errors import ConfigError
from utils.registry import nearest


def check_parts(config: SystemConfig, parts: Mapping[str, list[nn.Parameter]]) -> None:
    """Raises ConfigError where `optimizer.params` names a part that the model does not have."""
    for name in config.optimizer.params:
        if name not in parts:
            raise ConfigError(
                f"system.optimizer.params.{name}: the model has no such part.{nearest(name, parts)} "
                f"Its parts are {', '.join(parts)}."
            )


def build_optimizer(config: SystemConfig, parts: Mapping[str, list[nn.Parameter]]) -> torch.optim.Optimizer:
    """One parameter group per part of the model."""
    groups: list[dict[str, Any]] = []
    for name, parameters in parts.items():
        own = config.optimizer.params.get(name)
        changed = {key: value for key, value in asdict(own).items() if value is not None} if own else {}
        groups.append({"params": parameters, "name": name, **changed})
    common = {key: value for key, value in asdict(config.optimizer.args).items() if value is not None}
    kind = {"AdamW": torch.optim.AdamW, "Adam": torch.optim.Adam}[config.optimizer.name]
    return kind(groups, fused=True, **common)


def build_scheduler(config: SystemConfig, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    """The factor of `system.scheduler` on every group's own learning rate."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, config.scheduler.at)
