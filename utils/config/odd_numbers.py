"""Numbers that YAML 1.1 takes for others than people mean: 010 is eight there, 1:30 is ninety."""

import re
from collections.abc import Iterator

import yaml

_ODD = re.compile(r"[+-]?(0[0-9_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")
_MAYBE = re.compile(r"(^|[\s\[,:=-])[+-]?(0[0-9_]|[0-9_]+:[0-9])")
Found = tuple[tuple[str, ...], int, str]  # the names that lead to a value, its line from 1, what is wrong with it


def odd_numbers(text: str) -> Iterator[Found]:
    """The numbers in YAML that are read as others than they look like; nothing of what is no YAML."""
    if _MAYBE.search(text):
        try:
            yield from _in_node(yaml.compose(text, Loader=yaml.SafeLoader), ())
        except yaml.YAMLError:
            return


def _in_node(node: yaml.Node | None, parts: tuple[str, ...]) -> Iterator[Found]:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from _in_node(value, (*parts, str(name.value)))
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _in_node(value, parts)
    elif isinstance(node, yaml.ScalarNode) and node.style is None and (fault := _fault(node.value)):
        yield parts, node.start_mark.line + 1, fault


def _fault(text: str) -> str | None:
    value = yaml.safe_load(text) if _ODD.fullmatch(text) else None
    if not isinstance(value, int | float):
        return None
    if ":" in text:
        return f"{text} would be read as {value}, minutes or hours as seconds. Write one number"
    decimal = int(text.replace("_", ""))
    return None if value == decimal else f"{text} would be read as octal, {value}. Write {decimal}"
