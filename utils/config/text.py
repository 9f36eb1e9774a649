"""A plain tree as YAML that OmegaConf reads back as it was."""

from collections.abc import Mapping
from typing import Any

import yaml

__all__ = ["as_yaml"]
_WIDER = ("y", "n")  # what OmegaConf's loader takes for a truth value and PyYAML's dumper does not


class _Dumper(yaml.SafeDumper):
    """Quotes what OmegaConf would read as a number or a truth value; writes no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if _needs_quotes(text) else None)


def _needs_quotes(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.lower() in _WIDER
    return True


_Dumper.add_representer(str, _text)


def as_yaml(tree: Mapping[str, Any]) -> str:
    """The YAML of a tree of dicts, lists and scalars, as OmegaConf.to_yaml has it, without its nodes in between."""
    return yaml.dump(dict(tree), default_flow_style=False, allow_unicode=True, sort_keys=False, Dumper=_Dumper)
