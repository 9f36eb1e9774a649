"""Learning-rate schedules by the names that torch gives them, as pure functions of the step; free of torch."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any

from utils.config import schema
from utils.config.limits import Range, Step
from utils.errors import ConfigError
from utils.registry import nearest

Factor = Callable[[int], float]
Multiple = Annotated[float, Range(0.0, 100.0)]  # of a learning rate


@dataclass(frozen=True)
class ConstantLR:
    """`factor` until `total_iters`, then 1."""

    factor: Multiple = 1.0
    total_iters: Step = 0

    def at(self, step: int) -> float:
        """The factor of the base learning rate."""
        return self.factor if step < self.total_iters else 1.0


@dataclass(frozen=True)
class LinearLR:
    """From `start_factor` to `end_factor` over `total_iters` steps."""

    start_factor: Multiple = 1.0 / 3
    end_factor: Multiple = 1.0
    total_iters: Step = 5

    def at(self, step: int) -> float:
        """The factor of the base learning rate."""
        share = min(step, self.total_iters) / max(self.total_iters, 1)
        return self.start_factor + share * (self.end_factor - self.start_factor)


@dataclass(frozen=True)
class ExponentialLR:
    """gamma ** step."""

    gamma: Annotated[float, Range(above=0.0, high=1.0)]

    def at(self, step: int) -> float:
        """The factor of the base learning rate."""
        return self.gamma**step


@dataclass(frozen=True)
class MultiStepLR:
    """Times `gamma` at each milestone."""

    milestones: tuple[Step, ...]
    gamma: Annotated[float, Range(above=0.0, high=10.0)] = 0.1

    def at(self, step: int) -> float:
        """The factor of the base learning rate."""
        return self.gamma ** sum(step >= milestone for milestone in self.milestones)


@dataclass(frozen=True)
class SequentialLR:
    """One schedule after the other; each counts its steps from its own milestone."""

    schedulers: tuple["SchedulerConfig", ...]
    milestones: tuple[Step, ...]

    def at(self, step: int) -> float:
        """The factor of the base learning rate."""
        index = sum(step >= milestone for milestone in self.milestones)
        return self.schedulers[index].at(step - (self.milestones[index - 1] if index else 0))


KINDS = {kind.__name__: kind for kind in (ConstantLR, LinearLR, ExponentialLR, MultiStepLR, SequentialLR)}


@dataclass(frozen=True)
class SchedulerConfig:
    """A schedule chosen by `name`, its settings under `args` (for SequentialLR beside the name)."""

    schedule: Any

    @staticmethod
    def known_keys(name: str) -> dict[str, Any] | None:
        """The keys beside a name, with the class of those that are blocks; None for a name that is no schedule's."""
        if name not in KINDS:
            return None
        own = {item.name: None for item in fields(SequentialLR)} if name == "SequentialLR" else {"args": KINDS[name]}
        return {"name": None, "interval": None, **own}

    def at(self, step: int) -> float:
        """The factor of the base learning rate at a step."""
        return self.schedule.at(step)

    @classmethod
    def from_config(cls, value: Any, where: str) -> "SchedulerConfig":
        """Reads `{name, interval, args}` or `{name, milestones, schedulers}`. Raises ConfigError."""
        if not isinstance(value, dict) or str(value.get("name")) not in KINDS:
            got = value.get("name") if isinstance(value, dict) else value
            hint = nearest(str(got), KINDS)
            raise ConfigError(f"{where}.name: expected one of {', '.join(KINDS)}; got {schema.shown(got)}.{hint}")
        kind = KINDS[value["name"]]
        if value.get("interval", "step") != "step":
            got = schema.shown(value["interval"])
            raise ConfigError(f"{where}.interval: expected step, got {got}. Training has no epochs.")
        rest = {key: item for key, item in value.items() if key not in ("name", "interval")}
        if kind is SequentialLR:
            schedule = schema.parse(kind, rest, where)
            if list(schedule.milestones) != sorted(schedule.milestones):
                raise ConfigError(
                    f"{where}.milestones: expected steps that do not fall, got {list(schedule.milestones)}."
                )
            if len(schedule.schedulers) != len(schedule.milestones) + 1:
                raise ConfigError(
                    f"{where}: {len(schedule.schedulers)} schedulers need {len(schedule.schedulers) - 1} milestones, "
                    f"got {len(schedule.milestones)}."
                )
            return cls(schedule)
        if set(rest) - {"args"}:
            extra = sorted(set(rest) - {"args"})[0]
            raise ConfigError(f"{where}.{extra}: unknown key. Known here: name, interval, args.")
        return cls(schema.parse(kind, rest.get("args", {}), f"{where}.args"))

    def to_config(self) -> dict[str, Any]:
        """The YAML form that `from_config` reads back."""
        node = schema.to_dict(self.schedule)
        name = type(self.schedule).__name__
        return {"name": name, **node} if isinstance(self.schedule, SequentialLR) else {"name": name, "args": node}
