"""Every registered component in words, for `--list`."""

from dataclasses import fields, is_dataclass
from typing import Any

from utils import registry
from utils.config import schema


def list_components() -> str:
    """Every registered component: kind, name, file, and its fields with their defaults."""
    lines = []
    for kind in registry.kinds():
        lines.append(f"{kind}:")
        for name in registry.names(kind):
            entry = registry.find(kind, name)
            summary = (entry.target.__doc__ or "").strip().splitlines()[0]
            lines.append(f"  {name}  ({entry.file})  {summary}")
            if is_dataclass(entry.target):
                lines += [f"      {_describe(item)}" for item in fields(entry.target)]
    return "\n".join(lines)


def _describe(item: Any) -> str:
    kind = item.type if isinstance(item.type, str) else schema.describe(item.type)
    if "kind" in item.metadata:
        kind = f"a {item.metadata['kind']}"
    value = schema.default_of(item)
    return f"{item.name}: {kind}" + ("" if value is schema.REQUIRED else f" = {value!r}")
