"""Drops what earlier files say of a component when a later source picks another kind of it.

`xyz_encoding_config.otype=HashGrid` on the command line, behind a file with a ProgressiveBandHashGrid, drops the file's
`start_level`: only the other kind knows it, and whoever picked a kind cannot be expected to take back its keys. A key
that comes with the choice, or after it, is kept, so that the schema refuses it where it is unknown."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from types import NoneType
from typing import Any, get_args, get_type_hints

from omegaconf import OmegaConf

from utils import registry
from utils.config import schema
from utils.config.sources import Source, plain

log = logging.getLogger(__name__)
Keys = dict[str, Any]  # the keys of a block, each with what tells the keys within it, or None


@dataclass(frozen=True)
class _Component:
    """A block whose name picks a registered Config."""

    kind: str

    def known_keys(self, name: str) -> Keys | None:
        """The keys beside a name; None for a name that is not registered."""
        if name not in registry.names(self.kind):
            return None
        return {schema.name_key(self.kind): None, **_keys_of(registry.find(self.kind, name).target)}


def drop_replaced(sources: Sequence[Source], root: type) -> list[Source]:
    """The sources, in their order, without the keys of components that a later source replaces by another kind.

    root: the dataclass that the merged tree is read into."""
    earlier: list[Source] = []
    trees: list[dict[str, Any]] = []  # of these sources
    for source in sources:
        tree = plain(source.tree)
        dropped = _drop(_keys_of(root), trees, tree, "")
        if dropped:
            log.info("%s picks %s", source.name, "; ".join(dropped))
            earlier = [replace(old, tree=OmegaConf.create(kept)) for old, kept in zip(earlier, trees, strict=True)]
        earlier.append(source)
        trees.append(tree)
    return earlier


@cache
def _keys_of(cls: type) -> Keys:
    """The keys of a dataclass."""
    hints = get_type_hints(cls)
    keys: Keys = dict.fromkeys([*getattr(cls, "UNUSED", {}), *getattr(cls, "RETIRED", {})])
    for item in fields(cls):
        inner = [part for part in get_args(hints[item.name]) if part is not NoneType] or [hints[item.name]]
        if "kind" in item.metadata:
            keys[item.name] = _Component(item.metadata["kind"])
        else:
            is_block = len(inner) == 1 and (is_dataclass(inner[0]) or hasattr(inner[0], "known_keys"))
            keys[item.name] = inner[0] if is_block and not _reads_itself(inner[0]) else None
    return keys


def _reads_itself(cls: type) -> bool:
    """Whether a class parses its block by itself, so that its fields do not tell the keys."""
    return hasattr(cls, "from_config") and not hasattr(cls, "known_keys")


def _drop(keys: Keys, earlier: Sequence[dict[str, Any]], later: dict[str, Any], where: str) -> list[str]:
    """Removes the keys from earlier trees that a later tree makes unknown by its choices; returns them in words."""
    dropped = []
    for key, block in keys.items():
        new = later.get(key)
        blocks = [tree[key] for tree in earlier if isinstance(tree.get(key), dict)]
        if block is None or not isinstance(new, dict) or not blocks:
            continue
        inner = _keys_of(block) if isinstance(block, type) and not hasattr(block, "known_keys") else None
        if inner is None:
            name_key = schema.name_key(block.kind) if isinstance(block, _Component) else "name"
            old_name = next((node[name_key] for node in reversed(blocks) if name_key in node), None)
            new_name = new.get(name_key, old_name)
            inner, before = block.known_keys(str(new_name)), block.known_keys(str(old_name))
            if inner is not None and before is not None and new_name != old_name:
                names = [name for node in blocks for name in _remove(before, inner, node)]
                if names:
                    kept = f"{where}{key}.{name_key}={new_name}"
                    dropped.append(f"{kept}: {', '.join(dict.fromkeys(names))} of {old_name} dropped")
        dropped += _drop(inner or {}, blocks, new, f"{where}{key}.")
    return dropped


def _remove(before: Keys, after: Keys, node: dict[str, Any]) -> list[str]:
    """Removes the keys from a block that only the former kind knows; returns their names."""
    gone = [key for key in node if key in before and key not in after]
    for key in gone:
        del node[key]
    for key, inner in after.items():
        both = [part for part in (inner, before.get(key)) if isinstance(part, type) and is_dataclass(part)]
        if len(both) == 2 and both[0] is not both[1] and isinstance(node.get(key), dict):
            gone += [f"{key}.{name}" for name in _remove(_keys_of(both[1]), _keys_of(both[0]), node[key])]
    return gone
