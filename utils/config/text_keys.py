"""Text stays as it was typed where a key takes text: tag=001, tag=1e3, dataset.scene=yes."""

import re
import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import yaml
from omegaconf import DictConfig, OmegaConf

from utils import registry
from utils.config.sources import ABSENT, plain

IsText = Callable[[str], "bool | None"]  # of a dotted key: whether it takes text; None: text, or null for nothing
_NULL = ("null", "Null", "NULL", "")


def text_keys(root: type) -> IsText:
    """What tells of a dotted key of the dataclass `root` whether it takes text: True, None with null too, or False."""
    return lambda key: _kind_of(root, tuple(key.split(".")))


@cache
def _kind_of(cls: type, parts: tuple[str, ...]) -> bool | None:
    hints = get_type_hints(cls, include_extras=True)
    item = next((item for item in fields(cls) if item.name == parts[0]), None)
    if item is None:
        return False
    if "kind" in item.metadata:
        kind = item.metadata["kind"]
        targets = [registry.find(kind, name).target for name in registry.names(kind)] if len(parts) == 2 else []
        found = [_kind_of(target, parts[1:]) for target in targets if is_dataclass(target)]
        return next((taken for taken in found if taken is not False), False)
    hint = hints[item.name]
    if len(parts) > 1:
        return _kind_of(hint, parts[1:]) if is_dataclass(hint) else False
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if not any(_is_text(option) for option in options):
        return False
    return None if type(None) in options else True


def _is_text(kind: Any) -> bool:
    return kind is str or (get_origin(kind) is Annotated and get_args(kind)[0] is str)


def typed_value(text: str, may_be_null: bool) -> Any:
    """The value of a text key for what stands behind `=`: the text itself, without quotes around the whole of it.

    Null where the key takes that; of a list in brackets each item is text; ABSENT for one that YAML must refuse."""
    if may_be_null and text in _NULL:
        return None
    if re.fullmatch(r"\[.*\]", text, re.DOTALL):
        try:
            return yaml.load(text, Loader=yaml.BaseLoader)  # makes text of everything
        except yaml.YAMLError:
            return ABSENT
    if re.fullmatch(r"'[^']*'|\"[^\"\\]*\"", text):
        return text[1:-1]
    return text


def restore_text(tree: DictConfig, path: Path, is_text: IsText) -> None:
    """Puts the text of a YAML file in place of numbers and truth values that were read from it for text keys."""
    changed = {
        key: value
        for key, value in _scalars(plain(tree))
        if not isinstance(value, str) and (taken := is_text(key)) is not False and not (value is None and taken is None)
    }
    if not changed:
        return
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    for key in changed:
        if (text := _written(root, key.split("."))) is not None:
            OmegaConf.update(tree, key, text)


def _scalars(tree: dict[str, Any], where: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, value in tree.items():
        if isinstance(value, dict):
            found += _scalars(value, f"{where}{name}.")
        elif not isinstance(value, list):
            found.append((f"{where}{name}", value))
    return found


def _written(node: yaml.Node | None, parts: list[str]) -> str | None:
    for part in parts:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in reversed(pairs) if name.value == part), None)
    return node.value if isinstance(node, yaml.ScalarNode) else None


def overrides_of(items: list[str], is_text: IsText) -> DictConfig:
    """The tree of key=value words, later ones over earlier ones, with text as it was typed."""
    tree = OmegaConf.create()
    for item in items:
        key, _, text = item.partition("=")
        taken = is_text(key)
        value = ABSENT if taken is False else typed_value(text, taken is None)
        if value is ABSENT:
            tree.merge_with_dotlist([item])
        else:
            OmegaConf.update(tree, key, value)
    return tree
