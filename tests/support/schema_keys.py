"""All keys of the schema with their types, and values at, within and beyond their bounds."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from systems import schedules
from systems.configs import Experiment, LossConfig, Weight
from utils import registry
from utils.config.limits import Range, limits_of
from utils.config.schedule import Schedule
from utils.config.schema import name_key

FIELD = {"xyz_encoding_config": "HashGrid", "mlp_network_config": "VanillaMLP"}
COLOR = {"dir_encoding_config": "SphericalHarmonics", "mlp_network_config": "FullyFusedMLP"}
COLOR |= {"name": "volume-radiance", "input_feature_dim": 16}
NEUS = {"name": "neus", "geometry": {"name": "volume-sdf", **FIELD}, "texture": COLOR}
NERF = {"name": "nerf", "geometry": {"name": "volume-density", **FIELD}, "texture": COLOR}
REQUIRED = {  # what a block of each kind must have beside its name
    "geometry": FIELD,
    "texture": COLOR,
    "dataset": {"root_dir": "x"},
    "system": {"loss": {}},
    "neus": NEUS,
    "nerf": NERF,
    "Experiment": {"name": "x", "dataset": {"name": "blender", "root_dir": "x"}, "model": NEUS}
    | {"system": {"name": "neus-system", "loss": {}}},
    "ExponentialLR": {"gamma": 0.5},
    "MultiStepLR": {"milestones": [1]},
    "SequentialLR": {"schedulers": [{"name": "ConstantLR"}], "milestones": []},
}


@dataclass(frozen=True)
class Bound:
    """A number that a key of a class takes, with its range."""

    cls: type
    key: str  # dotted, below the class
    kind: Any  # int, float or Schedule
    range: Range | None  # None: it has no bounds
    shape: Any = None  # the hint of the list that the number is part of

    def __str__(self) -> str:
        return f"{self.cls.__name__}.{self.key}"

    def value(self, number: float) -> Any:
        """What the YAML gives for the key so that the number is in it."""
        if get_origin(self.shape) is not tuple:
            return number
        return [number] if get_args(self.shape)[-1] is Ellipsis else [number] * len(get_args(self.shape))

    def edges(self) -> tuple[list[float], list[float]]:
        """The outermost numbers that are taken, and those next to them that are not."""
        taken, refused = [], []
        for end, toward, is_open in (
            (self.range.low, -math.inf, False),
            (self.range.above, -math.inf, True),
            (self.range.high, math.inf, False),
            (self.range.below, math.inf, True),
        ):
            if end is None:
                continue
            if self.kind is int:
                taken.append(end)
                refused.append(end + (1 if toward > 0 else -1))
            else:
                taken.append(math.nextafter(end, -toward) if is_open else float(end))
                refused.append(float(end) if is_open else math.nextafter(end, toward))
        return taken, refused


def classes() -> dict[str, type]:
    """Every class that YAML is read into and that is not part of another, by its name or that of the component."""
    found = {name: registry.find(kind, name).target for kind in registry.kinds() for name in registry.names(kind)}
    found = {name: cls for name, cls in found.items() if is_dataclass(cls)}
    return {**found, **schedules.KINDS, "Experiment": Experiment, "LossConfig": LossConfig}


def kind_of(name: str) -> str:
    """The kind of a component, or the name itself where it is none."""
    return next((kind for kind in registry.kinds() if name in registry.names(kind)), name)


def required(name: str) -> dict[str, Any]:
    """A block for the class of that name that is complete, without the name."""
    block = REQUIRED.get(name, REQUIRED.get(kind_of(name), {}))
    return {key: value for key, value in block.items() if key != "name" or name == "Experiment"}


def bounds(cls: type, owner: type | None = None, where: str = "") -> Iterator[Bound]:
    """All numbers that a class takes, those of nested blocks too, but for those of components and of schedulers."""
    owner = owner or cls
    hints = get_type_hints(cls, include_extras=True)
    for item in fields(cls):
        if "kind" not in item.metadata:
            yield from _bounds(hints[item.name], owner, f"{where}{item.name}")
    if cls is LossConfig:
        yield from _bounds(Weight, owner, "lambda_mask")


def _bounds(hint: Any, owner: type, key: str, shape: Any = None) -> Iterator[Bound]:
    origin, inner = get_origin(hint), get_args(hint)
    ranges = [limit for limit in limits_of(hint) if isinstance(limit, Range)]
    plain = inner[0] if limits_of(hint) else hint
    if plain in (int, float, Schedule):
        yield Bound(owner, key, plain, ranges[0] if ranges else None, shape)
    elif origin in (Union, UnionType):
        for option in inner:
            yield from _bounds(option, owner, key, shape)
    elif origin is tuple:
        yield from _bounds(inner[0], owner, key, hint)
    elif origin is dict and is_dataclass(inner[1]):
        yield from bounds(inner[1], owner, f"{key}.geometry.")  # one of the names that such a block may have
    elif is_dataclass(plain) and not hasattr(plain, "from_config"):
        yield from bounds(plain, owner, f"{key}.")


def put(node: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy of a plain tree with a value at a dotted key."""
    first, _, rest = key.partition(".")
    return {**node, first: put(node.get(first) or {}, rest, value) if rest else value}


def leaves(config: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, type) of all that an experiment takes, with the components that it has."""
    hints = get_type_hints(type(config), include_extras=True)
    for item in fields(config):
        key, value = f"{where}{item.name}", getattr(config, item.name)
        if "kind" in item.metadata:
            kind = item.metadata["kind"]
            if value is not None:
                yield f"{key}.{name_key(kind)}", Literal[tuple(registry.names(kind))]
                yield from leaves(value, f"{key}.")
        elif isinstance(value, LossConfig):
            yield from ((f"{key}.lambda_{name}", Weight) for name in value.weights)
            yield from ((f"{key}.{name}", hint) for name, hint in value.options().items())
        elif isinstance(value, schedules.SchedulerConfig):
            yield f"{key}.name", Literal[tuple(schedules.KINDS)]
        elif is_dataclass(value) and not hasattr(value, "to_config"):
            yield from leaves(value, f"{key}.")
        elif not isinstance(value, dict):
            yield key, hints[item.name]
