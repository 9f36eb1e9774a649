"""Optimiser and learning-rate schedule of an experiment."""

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from models import ops
from systems.configs import SystemConfig
from utils.errors import ConfigError
from utils.registry import nearest

log = logging.getLogger(__name__)
_SETTINGS = {  # of a parameter group, by what they are called in a log
    "initial_lr": "lr",
    "betas": "betas",
    "eps": "eps",
    "weight_decay": "weight_decay",
    "decoupled_weight_decay": "decoupled_weight_decay",  # AdamW, unlike Adam
}


class _Uncompiled:
    """An optimiser of torch without its wrappers for torch.compile, whose import of torch._dynamo takes a second."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)
    _whole_step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all, after the closure, if one is given; tables of a grid move where they have a gradient."""
        found = None
        if closure is not None:
            with torch.enable_grad():
                found = closure()
        tables = [
            (parameter, parameter.grad, group)
            for group in self.param_groups
            for parameter in group["params"]
            if getattr(parameter, "in_part", False) and parameter.grad is not None
        ]
        for parameter, *_ in tables:
            parameter.grad = None
        self._whole_step()
        for parameter, gradient, group in tables:
            parameter.grad = gradient
            self._step_in_part(parameter, gradient, group)
        return found

    def _step_in_part(self, parameter: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:  # as torch's makes it
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        step = ops.AdamStep(
            state["step"],
            *(group[name] for name in ("lr", "betas", "eps", "weight_decay", "decoupled_weight_decay")),
        )
        ops.adam_where_touched(parameter.detach(), gradient, (state["exp_avg"], state["exp_avg_sq"]), step)


class _Adam(_Uncompiled, torch.optim.Adam):
    """Adam (arXiv:1412.6980)."""


class _AdamW(_Uncompiled, torch.optim.AdamW):
    """Adam with decoupled weight decay (arXiv:1711.05101)."""


def check_parts(config: SystemConfig, parts: Mapping[str, list[nn.Parameter]]) -> None:
    """Raises ConfigError if `optimizer.params` names a part that the model does not have."""
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
    kind = {"AdamW": _AdamW, "Adam": _Adam}[config.optimizer.name]
    optimizer = kind(groups, fused=True, **common)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def restore_settings(
    optimizer: torch.optim.Optimizer, config: SystemConfig, parts: Mapping[str, list[nn.Parameter]]
) -> list[str]:
    """Gives an optimiser, of which a checkpoint has set all, the settings of the config again; logs what changed.

    Returns that too. Moments and the number of steps stay; `LearningRates` sets the rate of a step."""
    changed = []
    for group, own in zip(optimizer.param_groups, build_optimizer(config, parts).param_groups, strict=True):
        settings = {key: value for key, value in own.items() if key != "params"}
        for key, label in _SETTINGS.items():
            before, after = group.get(key), settings.get(key)
            if before is not None and before != after:
                changed.append(f"{own['name']} {label} {before} -> {after}")
        group.update(settings)
    if changed:
        log.info("the optimiser goes on with other settings: %s", ", ".join(changed))
    return changed


class LearningRates:
    """Prepares an optimiser, new or from a checkpoint of any device, for the device of its parameters; sets its rates.

    On a GPU the learning rates live in its memory, side by side: a captured step sees them change."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        groups = optimizer.param_groups
        device = groups[0]["params"][0].device
        on_gpu = device.type == "cuda"
        self._groups = groups
        self._initial = torch.tensor([group["initial_lr"] for group in groups], device=device)
        self._rates = self._initial.clone() if on_gpu else None
        for index, group in enumerate(groups):
            group["capturable"] = on_gpu
            group["lr"] = self._rates[index] if on_gpu else float(group["lr"])

    def at(self, factor: float, own: Mapping[str, float]) -> dict[str, float]:
        """What `set` sets, by the names of the groups that have parameters."""
        rates = {group["name"]: group["initial_lr"] * factor for group in self._groups if group["params"]}
        return rates | {name: rate for name, rate in own.items() if name in rates}

    def set(self, factor: float, own: Mapping[str, float] | None = None) -> None:
        """Every group's own learning rate times a factor, the value of `system.scheduler` at a step; own: the rates at
        that step of groups with a schedule of their own, by name."""
        if self._rates is not None:
            torch.mul(self._initial, factor, out=self._rates)
        for index, group in enumerate(self._groups):
            rate = (own or {}).get(group.get("name"))
            if self._rates is None:
                group["lr"] = group["initial_lr"] * factor if rate is None else rate
            elif rate is not None:
                self._rates[index].fill_(rate)
