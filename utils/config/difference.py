"""Tells where configurations differ: from the defaults of the classes that read them, and from each other."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from textwrap import shorten
from typing import Any

from utils import registry
from utils.config import schema

MAX_TOLD = 8  # changes in a line


@dataclass(frozen=True)
class Change:
    """A key whose value is not the default."""

    key: str  # dotted
    value: Any  # plain, as in YAML
    default: Any  # likewise, or schema.REQUIRED where there is none


def changes(config: Any, where: str = "") -> list[Change]:
    """The values of a config, and of all blocks within it, that differ from the defaults, in the order of the fields.

    A component is compared with the defaults of the class that its name picks; the name itself counts as a change
    where the default is another component or none."""
    changed = []
    for item in fields(config):
        key, value, default = f"{where}{item.name}", getattr(config, item.name), schema.default_of(item)
        if "kind" in item.metadata and value is not None:
            kind, name = item.metadata["kind"], registry.name_of(value)
            usual = registry.name_of(default) if is_dataclass(default) else default
            if name != usual:
                changed.append(Change(f"{key}.{schema.name_key(kind)}", name, usual))
        if is_dataclass(value) and not hasattr(value, "to_config"):
            changed += changes(value, f"{key}.")
        elif value != default:
            changed += _leaf_changes(key, schema.to_dict(value), _defaults_within(value, default))
    return changed


def _defaults_within(value: Any, default: Any) -> Any:
    """The default as plain values; for a required block, the defaults of its fields."""
    if default is not schema.REQUIRED or not is_dataclass(value):
        return schema.to_dict(default)
    known = {item.name: schema.default_of(item) for item in fields(value)}
    return {name: schema.to_dict(usual) for name, usual in known.items() if usual is not schema.REQUIRED}


def _leaf_changes(key: str, value: Any, default: Any) -> list[Change]:
    """The changes between plain values; for blocks, key by key."""
    if not isinstance(value, dict):
        return [Change(key, value, default)]
    usual = flatten({key: default} if isinstance(default, dict) else {})
    here = flatten({key: value})
    return [
        Change(name, leaf, usual.get(name, schema.REQUIRED)) for name, leaf in here.items() if leaf != usual.get(name)
    ]


def flatten(node: dict[str, Any], where: str = "") -> dict[str, Any]:
    """The leaves of a plain tree by their dotted keys; lists are leaves, and so are empty blocks."""
    leaves = {}
    for key, value in node.items():
        inner = flatten(value, f"{where}{key}.") if isinstance(value, dict) else {}
        leaves |= inner or {f"{where}{key}": value}
    return leaves


def disagreements(trees: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """The dotted keys on which plain trees disagree, with the value of each; schema.REQUIRED where it is absent."""
    flat = [flatten(tree) for tree in trees]
    keys = dict.fromkeys(key for tree in flat for key in tree)
    found = {key: [tree.get(key, schema.REQUIRED) for tree in flat] for key in keys}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values[1:])}


def describe_changes(changed: Mapping[str, Sequence[Any]]) -> str:
    """`disagreements` of two trees as a line: key before -> after, ...; of many only the first."""
    told = [f"{key} {_short(before)} -> {_short(after)}" for key, (before, after) in changed.items()]
    more = [f"and {len(told) - MAX_TOLD} more"] if len(told) > MAX_TOLD else []
    return ", ".join([*told[:MAX_TOLD], *more])


def _short(value: Any) -> str:
    text = "(none)" if value is schema.REQUIRED else value if isinstance(value, str) else json.dumps(value)
    return shorten(text, 40, placeholder=" ...")
