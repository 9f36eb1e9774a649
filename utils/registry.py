"""Finds components by the name that YAML uses, and imports only the files that an experiment names.

A file registers what it offers; nothing else is edited:

    @register("dataset", "my-scans", builds="datasets.my_scans:MyScans")
    @dataclass(frozen=True)
    class MyScansConfig: ...

`builds` names the class that takes the config as first argument; it is imported only when the component is built, so
that a config can be checked before torch is loaded. A loss or an exporter is a plain function and needs no `builds`.
Names are found by a scan of the source text, one file is imported only when a name in it is asked for.
"""

import difflib
import importlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from utils.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("datasets", "models", "systems")
_DECORATOR = re.compile(r'^@register\(\s*"([\w-]+)",\s*"([\w-]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One registered component: `target` is its frozen Config class, or a plain function."""

    kind: str
    name: str
    target: Any
    builds: str | None
    file: str


@dataclass
class _Registry:
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    by_config: dict[type, Entry] = field(default_factory=dict)


_registry = _Registry()


def register(kind: str, name: str, builds: str | None = None) -> Callable[[Any], Any]:
    """Decorator that files a Config class (with `builds="module:Class"`) or a function under (kind, name)."""

    def decorate(target: Any) -> Any:
        file = target.__module__.replace(".", "/") + ".py"
        entry = _registry.entries[kind, name] = Entry(kind, name, target, builds, file)
        if isinstance(target, type):
            if builds is None:
                raise TypeError(f"{kind} '{name}': a Config needs builds='module:Class'")
            _registry.by_config[target] = entry
        return target

    return decorate


@cache
def _modules() -> dict[tuple[str, str], str]:
    """(kind, name) -> module, read from the source text without importing anything."""
    modules: dict[tuple[str, str], str] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            for kind, name in _DECORATOR.findall(path.read_text(encoding="utf-8")):
                if modules.setdefault((kind, name), module) != module:
                    raise ConfigError(f"{kind} '{name}' is registered twice: in {modules[kind, name]} and in {module}.")
    return modules


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the closest known name, or an empty string; the dashes of flags make none alike."""
    bare = {other.lstrip("-"): other for other in known}
    match = difflib.get_close_matches(name.lstrip("-"), bare, n=1, cutoff=0.6)
    return f" Did you mean '{bare[match[0]]}'?" if match else ""


def kinds() -> list[str]:
    """All kinds of component, sorted."""
    return sorted({kind for kind, _ in set(_modules()) | set(_registry.entries)})


def names(kind: str) -> list[str]:
    """All names registered for a kind, sorted."""
    return sorted({name for k, name in set(_modules()) | set(_registry.entries) if k == kind})


def find(kind: str, name: str) -> Entry:
    """The entry for (kind, name), importing the file that registers it. Raises ConfigError for an unknown name."""
    if (kind, name) not in _registry.entries:
        module = _modules().get((kind, name))
        if module is None:
            raise ConfigError(
                f"no {kind} is called '{name}'.{nearest(name, names(kind))} Known: {', '.join(names(kind))}."
            )
        importlib.import_module(module)
    return _registry.entries[kind, name]


def name_of(config: Any) -> str:
    """The name under which the class of a config is registered."""
    return _registry.by_config[type(config)].name


def build(config: Any, *args: Any, **kwargs: Any) -> Any:
    """The component that `config` describes: its class called as `Class(config, *args, **kwargs)`."""
    module, _, attribute = _registry.by_config[type(config)].builds.partition(":")
    return getattr(importlib.import_module(module), attribute)(config, *args, **kwargs)
