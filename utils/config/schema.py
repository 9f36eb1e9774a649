"""Turns plain YAML values into frozen dataclasses and back, with errors that name the key and the nearest known one.

A field is a bool, number, string, Literal, tuple, dict[str, X], Optional, nested dataclass, `component(kind)` (a node
whose `name` or `otype` picks a registered Config), or a class with `from_config(value, where)` and `to_config()`.
`Annotated[int, Range(1, 32)]` bounds what a field takes, see `utils.config.limits`; NaN and infinity are never taken.
`__post_init__` checks what fields say of each other; a message that begins with ".key: " gets the dotted place of the
block in front. A Config may list keys of older files that have no effect here in `UNUSED: ClassVar[dict[str, str]]`,
each with the reason, and removed keys in `RETIRED: ClassVar[dict[str, RetiredKey]]`."""

import dataclasses
import json
import logging
import re
import sys
import types
import unicodedata
from dataclasses import MISSING, field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from utils import registry
from utils.config.limits import limits_of
from utils.errors import ConfigError

log = logging.getLogger(__name__)
_NAME_KEYS = {"encoding": "otype", "direction": "otype", "network": "otype"}
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
MAX_PART = 255  # bytes of a name in a file system
MAX_SHOWN = 80  # characters of a refused value in a message


def name_key(kind: str) -> str:
    """The YAML key that picks a component of this kind."""
    return _NAME_KEYS.get(kind, "name")


REQUIRED = MISSING  # what `default_of` gives for a field without a default


def default_of(item: dataclasses.Field) -> Any:
    """The default of a dataclass field, or REQUIRED."""
    return item.default_factory() if item.default_factory is not MISSING else item.default


def component(kind: str, default: Any = MISSING, preset: str | None = None) -> Any:
    """A dataclass field that holds the Config of a registered component, or None where `default=None`.

    A block without a name changes the default component, where there is one.

    preset: the name of the component that is there by default, with its own defaults."""
    if preset is not None:
        return field(default_factory=lambda: registry.find(kind, preset).target(), metadata={"kind": kind})
    return field(default=default, metadata={"kind": kind})


def is_number(value: Any) -> bool:
    """Whether a YAML value is a finite int or float; booleans and numbers beyond the range of a float do not count."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def parse(cls: type, node: Any, where: str = "") -> Any:
    """`cls` filled from a plain dict. Raises ConfigError with the dotted key for anything that does not fit."""
    if not isinstance(node, dict):
        raise ConfigError(f"{where or 'config'}: expected a block of keys, got {shown(node)}.")
    hints = get_type_hints(cls, include_extras=True)
    known = {item.name: item for item in fields(cls)}
    unused, retired = getattr(cls, "UNUSED", {}), getattr(cls, "RETIRED", {})
    values = {}
    for key, value in node.items():
        dotted = f"{where}.{key}" if where else str(key)
        if key in unused:
            log.debug("%s has no effect: %s", dotted, unused[key])
        elif key in retired:
            retired[key].check(value, dotted)
        elif key not in known:
            raise ConfigError(
                f"{dotted}: unknown key.{registry.nearest(str(key), known)} Known here: {', '.join(known)}."
            )
        elif "kind" in known[key].metadata:
            values[key] = _parse_component(known[key], value, dotted)
        else:
            values[key] = convert(hints[key], value, dotted)
    for item in known.values():
        if item.name not in values and item.default is MISSING and item.default_factory is MISSING:
            raise ConfigError(
                f"{where + '.' if where else ''}{item.name}: missing. Set it in the YAML or as key=value."
            )
    try:
        return cls(**values)
    except ConfigError as error:
        if str(error).startswith("."):
            raise ConfigError(f"{where}{error}".removeprefix(".")) from None
        raise


def _parse_component(item: dataclasses.Field, value: Any, where: str) -> Any:
    kind = item.metadata["kind"]
    if value is None and item.default is None:
        return None
    key, known = name_key(kind), ", ".join(registry.names(kind))
    value = {key: value} if isinstance(value, str) else value  # no more than the name
    if isinstance(value, dict) and key not in value and is_dataclass(item.default):
        value = _merged({key: registry.name_of(item.default), **to_dict(item.default)}, value)
    if not isinstance(value, dict) or key not in value:
        raise ConfigError(f"{where}: expected a block with '{key}', one of {known}; got {shown(value)}.")
    if not isinstance(value[key], str):
        raise ConfigError(f"{where}.{key}: expected one of {known}; got {shown(value[key])}.")
    try:
        entry = registry.find(kind, value[key])
    except ConfigError as error:
        raise ConfigError(f"{where}.{key}: {error}") from None
    return parse(entry.target, {k: v for k, v in value.items() if k != key}, where)


def _merged(default: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The default as plain values, updated with the given ones; a block of another name replaces the default block."""
    if any(given.get(key, default.get(key)) != default.get(key) for key in ("name", "otype")):
        return given
    return default | {
        key: _merged(default[key], value) if isinstance(value, dict) and isinstance(default.get(key), dict) else value
        for key, value in given.items()
    }


def convert(kind: Any, value: Any, where: str) -> Any:
    """`value` as the annotated type `kind`. Raises ConfigError saying what was expected and what came."""
    origin = get_origin(kind)
    if limits_of(kind):
        return _convert_limited(kind, value, where)
    if hasattr(kind, "from_config"):
        return kind.from_config(value, where)
    if is_dataclass(kind):
        return parse(kind, value, where)
    if origin in (Union, types.UnionType):
        return _convert_union(get_args(kind), value, where)
    if origin is Literal:
        return _convert_literal(get_args(kind), value, where)
    if origin is tuple and isinstance(value, list | tuple):
        return _convert_tuple(get_args(kind), value, where)
    if origin is dict and isinstance(value, dict):
        inner = get_args(kind)[1]
        return {str(k): convert(inner, v, f"{where}.{k}") for k, v in value.items()}
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return _checked_text(str(value), where)
    if is_number(value) and (kind is float or (kind is int and value == int(value))):
        return kind(value)  # 2e4 is a whole number too
    raise ConfigError(f"{where}: expected {describe(kind)}, got {shown(value)}.{_hint(kind, value, where)}")


def _hint(kind: Any, value: Any, where: str) -> str:
    """How a value has to be written that is right but for its form, or an empty string."""
    if get_origin(kind) is tuple and isinstance(value, str | int | float):
        return f" Write {where}=[{value}]." if get_args(kind)[-1] is Ellipsis else " Write a list in brackets."
    if isinstance(value, str) and re.fullmatch(r"-?\d+,\d+", value):
        return " Write numbers with a point, and without commas."
    return ""


def describe(kind: Any) -> str:
    """What an annotation takes, in the words of a message: "a whole number from 1 to 32"."""
    if limits := limits_of(kind):
        return " ".join([describe(get_args(kind)[0]), *map(str, limits)])
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join("null" if option is type(None) else describe(option) for option in inner)
    if origin is Literal:
        names = ["null" if option is None else str(option).lower() for option in inner]
        return names[0] if len(names) == 1 else f"one of {', '.join(names)}"
    if origin is tuple:
        return "a list"
    return _WORDS.get(kind) or getattr(kind, "WORDS", "a block of keys")


def shown(value: Any) -> str:
    """A refused value as a message shows it, cut where it is long."""
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)  # as YAML has them
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def _convert_limited(kind: Any, value: Any, where: str) -> Any:
    """`value` as the type within Annotated, every number of it within the limits."""
    plain = get_args(kind)[0]
    try:
        result = convert(plain, value, where)
    except ConfigError:
        if plain in _WORDS:
            told = f"{describe(kind)}, got {shown(value)}.{_hint(plain, value, where)}"
            raise ConfigError(f"{where}: expected {told}") from None
        raise
    for limit in limits_of(kind):
        for part in getattr(result, "values", (result,)):  # of a schedule
            if not limit.admits(part):
                hint = registry.nearest(str(part), getattr(limit, "known", ()))
                raise ConfigError(f"{where}: expected {describe(kind)}, got {shown(value)}.{hint}")
    return result


def _checked_text(text: str, where: str) -> str:
    """The text. Raises ConfigError for control characters and for names too long for a file system."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ConfigError(f"{where}: expected text without control characters, got {shown(text)}.")
    if any(len(part.encode("utf-8")) > MAX_PART for part in text.split("/")):
        raise ConfigError(f"{where}: expected text of at most {MAX_PART} bytes between slashes, got {shown(text)}.")
    return text


def _convert_union(options: tuple, value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    choices = [option for option in options if option is not type(None)]
    choices.sort(key=lambda option: _plain_type(option) is not type(value))  # 1 and 1.0 stay apart where both may come
    refusals = []
    for option in choices:
        try:
            return convert(option, value, where)
        except ConfigError as refusal:
            refusals.append((option, refusal))
    for option, refusal in refusals:
        if len(refusals) == 1 or (isinstance(value, list) and get_origin(option) is tuple):
            raise refusal
    names = [str(name) for option in choices if get_origin(option) is Literal for name in get_args(option)]
    hint = registry.nearest(str(value), names) or _hint(choices[0], value, where)
    raise ConfigError(f"{where}: expected {' or '.join(map(describe, choices))}, got {shown(value)}.{hint}")


def _plain_type(kind: Any) -> Any:
    return get_args(kind)[0] if limits_of(kind) else kind


def _convert_literal(options: tuple, value: Any, where: str) -> Any:
    for option in options:
        if value == option and isinstance(value, bool) == isinstance(option, bool):
            return option
        if isinstance(option, str) and not isinstance(value, bool) and str(value) == option:
            return option
    hint = registry.nearest(str(value), map(str, options))
    raise ConfigError(f"{where}: expected {describe(Literal[options])}; got {shown(value)}.{hint}")


def _convert_tuple(inner: tuple, value: Any, where: str) -> tuple:
    if inner[-1] is not Ellipsis and len(inner) != len(value):
        raise ConfigError(f"{where}: expected {len(inner)} values, got {len(value)}: {shown(value)}.")
    kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
    return tuple(convert(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))


def to_dict(config: Any) -> Any:
    """The plain YAML values of a config, so that `parse(type(config), to_dict(config)) == config`."""
    if hasattr(config, "to_config"):
        return config.to_config()
    if is_dataclass(config):
        node = {item.name: to_dict(getattr(config, item.name)) for item in fields(config)}
        for item in fields(config):
            value = getattr(config, item.name)
            if "kind" in item.metadata and value is not None:
                key = name_key(item.metadata["kind"])
                node[item.name] = {key: registry.name_of(value), **node[item.name]}
        return node
    if isinstance(config, tuple):
        return [to_dict(value) for value in config]
    if isinstance(config, dict):
        return {key: to_dict(value) for key, value in config.items()}
    return config
