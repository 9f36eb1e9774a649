"""Text stays as it was typed where a key takes text: tag=001, tag=1e3, dataset.scene=yes."""

import re
import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import yaml
from omegaconf import DictConfig, OmegaConf

from utils import registry
from utils.config.odd_numbers import odd_numbers
from utils.config.sources import ABSENT, plain
from utils.errors import ConfigError

IsText = Callable[[str], "bool | None"]  # of a dotted key: whether it takes text; None: text, or null for nothing
IsTextAt = Callable[[tuple[str, ...]], "bool | None"]  # the same of the names that lead to a key
_NULL = ("null", "Null", "NULL", "")
_STR = "tag:yaml.org,2002:str"


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


def text_as_written(tree: DictConfig, path: Path, is_text: IsTextAt) -> DictConfig:
    """The tree of a YAML file with text, as the file has it, in place of numbers, truth values and dates of text keys.

    tree: as OmegaConf reads the file. A list of a text key holds text. Names of keys are text as written too."""
    if all(isinstance(name, str) for name in _names(plain(tree))) and not _misread(plain(tree), (), is_text):
        return tree
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    written = yaml.serialize(_quoted(root, (), is_text), Dumper=yaml.SafeDumper, width=float("inf"))
    return OmegaConf.load(StringIO(written))


def _names(node: Any) -> list[Any]:
    """The names of all keys of a plain tree."""
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [*(node if isinstance(node, dict) else ()), *(name for part in parts for name in _names(part))]


def _misread(node: Any, parts: tuple[str, ...], is_text: IsTextAt) -> bool:
    """Whether a plain tree has something else than text where a key takes text."""
    if isinstance(node, dict):
        return any(_misread(value, (*parts, name), is_text) for name, value in node.items())
    if isinstance(node, list):
        return any(_misread(value, parts, is_text) for value in node if not isinstance(value, dict))
    if isinstance(node, str):
        return False
    taken = is_text(parts)
    return taken is not False and not (node is None and taken is None)


def _quoted(node: yaml.Node, parts: tuple[str, ...], is_text: IsTextAt) -> yaml.Node:
    """A copy of a node, and of all that it holds, in which text is in quotes, so that it is read as text."""
    if isinstance(node, yaml.MappingNode):
        pairs = []
        for name, value in node.value:
            merges = name.tag.endswith(":merge")  # <<: *anchor
            inner = parts if merges else (*parts, str(name.value))
            pairs.append((name if merges else _text(name), _quoted(value, inner, is_text)))
        return yaml.MappingNode(node.tag, pairs)
    if isinstance(node, yaml.SequenceNode):
        return yaml.SequenceNode(node.tag, [_quoted(value, parts, is_text) for value in node.value])
    taken = False if node.style else is_text(parts)  # what has a style is text already
    is_null = taken is None and node.tag.endswith(":null")
    return yaml.ScalarNode(node.tag, node.value, style=node.style) if taken is False or is_null else _text(node)


def _text(node: yaml.Node) -> yaml.Node:
    """A scalar as text in quotes; any other node as it is."""
    return yaml.ScalarNode(_STR, node.value, style=node.style or '"') if isinstance(node, yaml.ScalarNode) else node


def overrides_of(items: list[str], is_text: IsText) -> DictConfig:
    """The tree of key=value words, later ones over earlier ones, with text as it was typed."""
    tree = OmegaConf.create()
    for item in items:
        key, _, text = item.partition("=")
        taken = is_text(key)
        if taken is False and (odd := next(odd_numbers(text), None)):
            raise ConfigError(f"{key}: {odd[2]}.")
        value = ABSENT if taken is False else typed_value(text, taken is None)
        if value is ABSENT:
            tree.merge_with_dotlist([item])
        else:
            OmegaConf.update(tree, key, value)
    return tree
