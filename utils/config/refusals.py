"""Which key a refusal is of: the one that was typed, and not those that only repeat it."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from utils.config import schema
from utils.config.sources import Source, lookup, referred
from utils.errors import ConfigError


def key_of(error: ConfigError) -> str:
    """The dotted key with which the message begins."""
    return str(error).split(":")[0]


def of_what_is_read(sources: Sequence[Source], cls: type, node: dict[str, Any], error: ConfigError) -> ConfigError:
    """The refusal of the key that the refused one only repeats, ${trainer.max_steps}, where that is refused as well.

    node: what `cls` was to be filled from, see `schema.parse`."""
    found, behind, node = error, referred(sources, key_of(error)), deepcopy(node)
    while (key := key_of(found)) != behind:
        block, _, name = key.rpartition(".")
        inside = lookup(node, block)
        if referred(sources, key) != behind or not isinstance(inside, dict) or name not in inside:
            return error
        del inside[name]
        try:
            schema.parse(cls, node)
        except ConfigError as other:
            found = other
        else:
            return error
    return found
