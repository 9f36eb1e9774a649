"""Reads YAML files and `key=value` overrides into one plain, resolved tree, without importing torch.

Files merge left to right; `defaults: [base/neus, base/dtu]` names files (without .yaml) that come before the file
itself, sought beside it and then in `configs/`; a name may be computed, then from the keys that all other files and the
command line set, and is left out where it comes to null. Interpolations are OmegaConf's, plus the resolvers below."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from utils.config.odd_numbers import odd_numbers
from utils.config.resolvers import COMPUTES, say
from utils.config.schema import is_number, shown
from utils.config.sources import ABSENT, REFERENCE, Source, computed_from, lookup, origin, plain
from utils.config.text_keys import IsText, IsTextAt, overrides_of, text_as_written
from utils.errors import ConfigError
from utils.registry import ROOT, nearest
from utils.terminal.typed_paths import typed_path

Keys = Callable[[], DictConfig]  # reads them only if it is called
MAX_VALUES = 100_000  # of a YAML file, once its anchors are written out


def read_yaml(path: Path, is_text: IsTextAt = lambda parts: False) -> DictConfig:
    """One YAML file as a tree. Raises ConfigError with line and column where it is not YAML.

    is_text: tells which keys keep as text what is written."""
    try:
        _check_size(path)
        node = OmegaConf.load(path)
    except FileNotFoundError:
        near = nearest(path.name, [p.name for p in path.parent.glob("*.yaml")])
        raise ConfigError(f"{path}: no such config file.{near}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder. Give a YAML file.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        lines = path.read_text(encoding="utf-8").splitlines()
        has_tab = mark is not None and any("\t" in line[: mark.column + 1] for line in lines[mark.line : mark.line + 1])
        at = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        tab = " YAML is indented with spaces, not tabs." if has_tab else ""
        other = "" if path.suffix in (".yaml", ".yml") else " Give a YAML file, such as configs/neus-demo.yaml."
        raise ConfigError(f"{path}:{at} {error.problem}.{tab}{other}") from None
    except ConfigError:
        raise
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is no text in UTF-8, so it is not read as YAML. Save it as UTF-8.") from None
    except Exception as error:  # PyYAML and OmegaConf raise whatever they stumble over
        raise ConfigError(f"{path}: cannot be read as YAML: {_first_line(error)}.") from None
    if not isinstance(node, DictConfig):
        raise ConfigError(
            f"{path}: expected a block of keys at the top, got {type(OmegaConf.to_container(node)).__name__}."
        )
    for parts, line, fault in odd_numbers(path.read_text(encoding="utf-8")):
        if is_text(parts) is False:
            raise ConfigError(f"{path}:{line}: {'.'.join(parts)}: {fault}.")
    return text_as_written(node, path, is_text)


def _check_size(path: Path) -> None:
    """Raises ConfigError for a file whose anchors expand to more values than any config has, or to endlessly many."""
    sizes: dict[int, float] = {}

    def size(node: yaml.Node | None) -> float:
        if id(node) not in sizes:
            sizes[id(node)] = float("inf")  # for one that holds itself
            children = node.value if isinstance(node, yaml.SequenceNode) else []
            children = (
                [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else children
            )
            sizes[id(node)] = 1 + sum(map(size, children))
        return sizes[id(node)]

    text = path.read_text(encoding="utf-8")
    if "&" in text and size(yaml.compose(text, Loader=yaml.SafeLoader)) > MAX_VALUES:
        raise ConfigError(f"{path}: its anchors (&) unfold to more than {MAX_VALUES} values. Write them out.")


def _expand(path: Path, keys: Keys | None, is_text: IsText, stack: tuple[Path, ...] = ()) -> list[Source]:
    """The file and, before it, everything that its `defaults` name.

    keys: gives what computed names are computed from; None: such names are left out."""
    path = path.resolve()
    if path in stack:
        raise ConfigError(f"{path}: its defaults lead back to itself ({' -> '.join(p.name for p in (*stack, path))}).")
    tree = read_yaml(path, lambda parts: is_text(".".join(parts)))
    if dotted := next((name for name in plain(tree) if "." in str(name)), None):
        block, _, key = str(dotted).partition(".")
        raise ConfigError(
            f"{path}: '{dotted}': keys with points are for the command line; in a file they are blocks: `{block}:`, "
            f"and `{key}: ...` indented in the line below."
        )
    sources: list[Source] = []
    names = plain(tree).get("defaults", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: defaults: expected a list of file names such as [base/neus], got {names!r}.")
    for entry in names:
        name = _computed(entry, keys, path) if "${" in entry else entry
        if name is None:
            continue
        typed = typed_path(f"{name}.yaml")
        candidates = [path.parent / typed, ROOT / "configs" / typed]
        file = next((c for c in candidates if c.is_file()), None)
        if file is None:
            known = [
                p.relative_to(ROOT / "configs").with_suffix("").as_posix() for p in (ROOT / "configs").rglob("*.yaml")
            ]
            raise ConfigError(f"{path}: defaults: no file {name}.yaml beside it or in configs/.{nearest(name, known)}")
        sources += _expand(file, keys, is_text, (*stack, path))
    tree.pop("defaults", None)
    return [*sources, Source(_relative(path), tree, path)]


def _computed(entry: str, keys: Keys | None, path: Path) -> str | None:
    """The name that an entry of `defaults` comes to; None where it is null or what it reads has no value yet."""
    if keys is None:
        return None
    node = OmegaConf.merge(keys(), {"defaults": entry})
    try:
        name = node.defaults
    except InterpolationToMissingValueError:
        return None  # `resolve` names the key
    except OmegaConfBaseException as error:
        raise ConfigError(f"{path}: defaults: '{entry}' cannot be resolved: {_first_line(error)}.") from None
    if name is not None and not isinstance(name, str):
        raise ConfigError(f"{path}: defaults: expected '{entry}' to be a file name or null, got {name!r}.")
    return name


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def _command_line(overrides: Sequence[str], is_text: IsText) -> Source:
    for item in overrides:
        if "=" not in item or item.startswith("="):
            raise ConfigError(f"command line: '{item}': expected key=value such as trainer.max_steps=5000.")
        if item.partition("=")[0].endswith(" "):
            raise ConfigError(f"command line: '{item}': key=value is one word: no spaces around the =.")
        if item.startswith("-"):
            raise ConfigError(f"command line: '{item}': unknown flag. Overrides are written key=value without dashes.")
    try:
        return Source("command line", overrides_of(list(overrides), is_text))
    except yaml.MarkedYAMLError as error:
        told = "Close what is open ([, {, quotes), and put a value with spaces into quotes"
        raise ConfigError(f"command line: {' '.join(overrides)}: {error.problem}. {told}.") from None
    except Exception as error:  # likewise
        raise ConfigError(f"command line: {' '.join(overrides)}: {_first_line(error)}") from None


def find_config(path: str | Path) -> Path:
    """The file that was typed or, where there is none, the one of `configs/` that its path or bare name means."""
    typed = typed_path(path)
    shipped = (ROOT / typed, ROOT / "configs" / f"{typed}.yaml")
    return typed if typed.exists() else next((file for file in shipped if file.is_file()), typed)


def collect(
    paths: Sequence[str | Path], overrides: Sequence[str] = (), is_text: IsText = lambda key: False
) -> list[Source]:
    """All sources in the order in which they are merged. is_text: tells which keys keep what was typed as text."""
    say.cache_clear()
    typed = [_command_line(overrides, is_text)] if overrides else []

    @cache
    def keys() -> DictConfig:
        return _merge([*(source for path in paths for source in _expand(typed_path(path), None, is_text)), *typed])

    sources = [source for path in paths for source in _expand(typed_path(path), keys, is_text)]
    return [*sources, *typed]


def resolve(sources: Sequence[Source]) -> dict[str, Any]:
    """The merged tree as plain values. Raises ConfigError for `???` without a value and for a broken interpolation."""
    try:
        merged = _merge(sources)
        found = OmegaConf.missing_keys(merged) if "???" in str(plain(merged)) else ()
        missing = sorted(key for key in found if not _is_interpolation(merged, key))
        if missing:
            raise ConfigError(
                f"{origin(sources, missing[0])}{missing[0]}: has no value yet (???). "
                f"Give it as {missing[0]}=VALUE{'; also missing: ' + ', '.join(missing[1:]) if missing[1:] else ''}."
            )
        return OmegaConf.to_container(merged, resolve=True)
    except OmegaConfBaseException as error:
        key = error.full_key or ""
        reason = f"cannot be resolved: {_first_line(error)}{computed_from(sources, key)}."
        at_fault = _no_number(plain(merged), key)
        if at_fault is not None:
            key, reason = at_fault[0], f"expected a number, got {shown(at_fault[1])}; {key} is computed from it."
        raise ConfigError(f"{origin(sources, key)}{key or 'config'}: {reason}") from None
    except ConfigError:
        raise
    except Exception as error:  # likewise
        raise ConfigError(f"config: cannot be merged: {_first_line(error)}.") from None


def _no_number(tree: dict[str, Any], key: str) -> tuple[str, Any] | None:
    """The key, with its value, that is no number although `key` is computed from it; None if there is none."""
    keys, computed = [key], False
    for name in keys:  # grows by what each expression refers to
        value = lookup(tree, name)
        if isinstance(value, str) and (COMPUTES.search(value) or REFERENCE.fullmatch(value)):
            computed = computed or COMPUTES.search(value) is not None
            keys += [other for other in REFERENCE.findall(value) if other not in keys]
        elif computed and value is not ABSENT and not is_number(value) and "${" not in str(value):
            return name, value
    return None


def _merge(sources: Sequence[Source]) -> DictConfig:
    merged = OmegaConf.create()
    for source in sources:
        before, added = plain(merged), plain(source.tree)
        if name := next(
            (name for name in added if isinstance(before.get(name), dict) and _is_value(added[name])), None
        ):
            raise ConfigError(
                f"{origin([source], name)}{name}: expected a block of keys, got {added[name]!r}. In a file, indent its "
                f"keys with spaces and write a space behind each colon."
            )
        clash = _clash(before, added)
        if clash is not None:
            raise ConfigError(
                f"{origin([source], clash)}{clash}: a list and a block of keys cannot be merged. Give the whole list."
            )
        merged.merge_with(source.tree)
    return merged


def _is_value(value: Any) -> bool:
    """Whether a value is none that keys can be in."""
    return not isinstance(value, dict | list) and "${" not in str(value)


def _clash(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    """The dotted key at which a list in one tree meets a block in the other."""
    for name in one:
        pair = one[name], other.get(name)
        inner = _clash(*pair) if all(isinstance(node, dict) for node in pair) else None
        if inner is not None:
            return f"{name}.{inner}"
        if {type(node) for node in pair} == {dict, list}:
            return name
    return None


def _is_interpolation(tree: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    return OmegaConf.is_interpolation(OmegaConf.select(tree, parent) if parent else tree, name)


def _first_line(error: Exception) -> str:
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return re.sub(r"^\w+ raised while resolving interpolation: ", "", line)
