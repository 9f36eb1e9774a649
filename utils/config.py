"""Reads YAML files and `key=value` overrides into one plain, resolved tree, without importing torch.

Files merge left to right; `defaults: [base/neus, base/dtu]` names files (without .yaml) that come before the file
itself, sought beside it and then in `configs/`. Interpolations are OmegaConf's, plus the resolvers below."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from utils.errors import ConfigError
from utils.registry import ROOT, nearest

_RESOLVERS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "idiv": lambda a, b: a // b,
    "basename": lambda path: Path(path).name,
    "calc_exp_lr_decay_rate": lambda factor, steps: factor ** (1.0 / steps),
}
for _name, _function in _RESOLVERS.items():
    OmegaConf.register_resolver(_name, _function, replace=True)


@dataclass(frozen=True)
class Source:
    """One place that keys come from: a file, or the command line."""

    name: str
    tree: DictConfig


def read_yaml(path: Path) -> DictConfig:
    """One YAML file as a tree. Raises ConfigError with line and column where it is not YAML."""
    try:
        node = OmegaConf.load(path)
    except FileNotFoundError:
        near = nearest(path.name, [p.name for p in path.parent.glob("*.yaml")])
        raise ConfigError(f"{path}: no such config file.{near}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder; --config takes a YAML file.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        tab = " YAML is indented with spaces, not tabs." if "\\t" in str(error.problem) else ""
        raise ConfigError(f"{path}:{at} {error.problem}.{tab}") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}.") from None
    if not isinstance(node, DictConfig):
        raise ConfigError(
            f"{path}: expected a block of keys at the top, got {type(OmegaConf.to_container(node)).__name__}."
        )
    return node


def _expand(path: Path, stack: tuple[Path, ...] = ()) -> list[Source]:
    """The file and, before it, everything that its `defaults` name."""
    path = path.resolve()
    if path in stack:
        raise ConfigError(f"{path}: its defaults lead back to itself ({' -> '.join(p.name for p in (*stack, path))}).")
    tree = read_yaml(path)
    sources: list[Source] = []
    names = tree.pop("defaults", [])
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: defaults: expected a list of file names such as [base/neus], got {names!r}.")
    for name in names:
        candidates = [path.parent / f"{name}.yaml", ROOT / "configs" / f"{name}.yaml"]
        found = next((c for c in candidates if c.is_file()), None)
        if found is None:
            known = [
                p.relative_to(ROOT / "configs").with_suffix("").as_posix() for p in (ROOT / "configs").rglob("*.yaml")
            ]
            raise ConfigError(f"{path}: defaults: no file {name}.yaml beside it or in configs/.{nearest(name, known)}")
        sources += _expand(found, (*stack, path))
    return [*sources, Source(_relative(path), tree)]


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def _command_line(overrides: Sequence[str]) -> Source:
    for item in overrides:
        if "=" not in item or item.startswith("="):
            raise ConfigError(f"command line: '{item}': expected key=value such as trainer.max_steps=5000.")
        if item.startswith("-"):
            raise ConfigError(f"command line: '{item}': unknown flag. Overrides are written key=value without dashes.")
    try:
        return Source("command line", OmegaConf.from_dotlist(list(overrides)))
    except (OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"command line: {' '.join(overrides)}: {_first_line(error)}") from None


def collect(paths: Sequence[str | Path], overrides: Sequence[str] = ()) -> list[Source]:
    """All sources in the order in which they are merged."""
    sources = [source for path in paths for source in _expand(Path(path))]
    return [*sources, _command_line(overrides)] if overrides else sources


def resolve(sources: Sequence[Source]) -> dict[str, Any]:
    """The merged tree as plain values. Raises ConfigError for `???` without a value and for a broken interpolation."""
    try:
        merged = OmegaConf.merge(*(source.tree for source in sources))
        missing = sorted(key for key in OmegaConf.missing_keys(merged) if not _is_interpolation(merged, key))
        if missing:
            raise ConfigError(
                f"{origin(sources, missing[0])}{missing[0]}: has no value yet (???). "
                f"Give it as {missing[0]}=VALUE{'; also missing: ' + ', '.join(missing[1:]) if missing[1:] else ''}."
            )
        return OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, TypeError, ZeroDivisionError) as error:
        key = getattr(error, "full_key", None) or ""
        raise ConfigError(f"{origin(sources, key)}{key or 'config'}: {_first_line(error)}") from None


def _is_interpolation(tree: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    return OmegaConf.is_interpolation(OmegaConf.select(tree, parent) if parent else tree, name)


def origin(sources: Sequence[Source], key: str) -> str:
    """`file: ` for the last source that sets the dotted key (or the nearest block around it), else ''."""
    parts = key.split(".")
    for source in reversed(sources):
        node: Any = source.tree
        for part in parts:
            node = node._get_node(part) if isinstance(node, DictConfig) else None
            if node is None:
                break
        else:
            return f"{source.name}: "
    return ""


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
