"""Every registered component in words, for `--list`."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from utils import registry
from utils.config import schema


def list_components() -> Iterator[str]:
    """Lines on every registered component: kind, name, file, and its fields with their defaults.

    One comes at once, all take seconds, since files of components are imported."""
    for kind in registry.kinds():
        yield f"{kind}:"
        for name in registry.names(kind):
            entry = registry.find(kind, name)
            summary = (entry.target.__doc__ or "").strip().splitlines()[0]
            yield f"  {name}  ({entry.file})  {summary}"
            if is_dataclass(entry.target):
                yield from (f"      {_describe(item)}" for item in fields(entry.target))


def _describe(item: Any) -> str:
    kind = item.type if isinstance(item.type, str) else schema.describe(item.type)
    if "kind" in item.metadata:
        kind = f"a {item.metadata['kind']}"
    value = schema.default_of(item)
    return f"{item.name}: {kind}" + ("" if value is schema.REQUIRED else f" = {value!r}")
