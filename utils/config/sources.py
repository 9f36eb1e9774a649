"""Where keys come from: the files and the command line, the line that sets a key, and what a value is computed from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from utils.config.schema import shown

REFERENCE = re.compile(r"\$\{(\w[\w.\[\]-]*)\}")  # ${model.radius}; relative ones are left to OmegaConf
ABSENT = object()


@dataclass(frozen=True)
class Source:
    """A file or the command line, and the keys that it sets."""

    name: str
    tree: DictConfig
    path: Path | None = None  # of the file


def origin(sources: Sequence[Source], key: str) -> str:
    """`file:line: ` of the last source that sets the dotted key, `command line: `, or '' where none does.

    Where the value is a reference, ${trainer.max_steps}, what sets the key that it refers to comes in front."""
    return _origin(sources, key, (key,)) if key else ""


def _origin(sources: Sequence[Source], key: str, readers: tuple[str, ...]) -> str:
    for source in reversed(sources):
        value = lookup(plain(source.tree), key)
        if value is ABSENT:
            continue
        line = f"{source.name}:{_line_of(source.path, key)}: " if source.path else f"{source.name}: "
        reference = REFERENCE.fullmatch(str(value))
        if reference is None or reference[1] in readers:
            return line
        behind = _origin(sources, reference[1], (*readers, reference[1]))
        return f"{behind}{reference[1]}, read at {line}" if behind else line
    return ""


def referred(sources: Sequence[Source], key: str) -> str:
    """The dotted key that the value of a key is read from, ${trainer.max_steps}, through others that are read likewise;
    the key itself where its value is no reference, or where nothing sets what it refers to."""
    trees, seen = [plain(source.tree) for source in reversed(sources)], [key]
    while True:
        value = next((node for tree in trees if (node := lookup(tree, seen[-1])) is not ABSENT), ABSENT)
        reference = REFERENCE.fullmatch(str(value))
        if reference is None or reference[1] in seen:
            return key if value is ABSENT else seen[-1]
        seen.append(reference[1])


def _line_of(path: Path, key: str) -> int:
    """The line that sets a dotted key, counted from 1; that of the nearest block where an anchor is merged in."""
    node, line = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader), 0
    for part in _parts(key):
        if isinstance(node, yaml.MappingNode):
            inner = {name.value: (name.start_mark.line, item) for name, item in node.value}
        elif isinstance(node, yaml.SequenceNode):
            inner = {str(index): (item.start_mark.line, item) for index, item in enumerate(node.value)}
        else:
            break
        line, node = inner.get(part, (line, None))
    return line + 1


def plain(tree: DictConfig) -> dict[str, Any]:
    """The tree as it was written, with `???` and interpolations as text."""
    return OmegaConf.to_container(tree, resolve=False)


def _parts(key: str) -> list[str]:
    """a.b[0].c -> a, b, 0, c."""
    return re.findall(r"[^.\[\]]+", key)


def lookup(tree: Any, key: str) -> Any:
    """What lies at a dotted key of a plain tree, or what stands there in place of a block; else ABSENT."""
    for part in _parts(key):
        if isinstance(tree, list) and part.isdigit() and int(part) < len(tree):
            tree = tree[int(part)]
        elif isinstance(tree, dict):
            tree = tree.get(part, ABSENT)
    return tree


def computed_from(sources: Sequence[Source], key: str) -> str:
    """`; it is computed from trainer.max_steps=-5` where the value of a key is an expression of others, else ''."""
    trees = [plain(source.tree) for source in reversed(sources)]
    keys, inputs, is_expression = [key], [], False
    for name in keys:  # grows by the keys that each value refers to
        value = next((node for tree in trees if (node := lookup(tree, name)) is not ABSENT), ABSENT)
        if isinstance(value, str) and "${" in value:
            is_expression = is_expression or REFERENCE.fullmatch(value) is None
            keys += [other for other in REFERENCE.findall(value) if other not in keys]
        elif name != key and value is not ABSENT:
            inputs.append(f"{name}={shown(value)}")
    return f"; it is computed from {' and '.join(inputs)}" if is_expression and inputs else ""
