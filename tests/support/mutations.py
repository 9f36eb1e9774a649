"""Damaged and malicious versions of files, as strategies of Hypothesis."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

EXTREMES = (
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"/",
    b"\x00\x00\x00\x00\x00\x00\xf0\x7f",
    b"\x00\x00\x00\x00\x00\x00\xf8\x7f",
)
NASTY = (
    None, True, 0, -1, 1e308, -1e-308, 2**63, 10**400, float("nan"), float("inf"), "", "x", "../../secret.png",
    "/etc/hostname", "a\x00b", "é" * 300, [], {}, [[]], [1, 2, 3], {"a": 1}, "images/000.png", 1e-30, "nan",
)  # fmt: skip
_OPERATION = st.tuples(
    st.sampled_from(("flip", "cut", "set", "insert", "drop", "repeat")),
    st.floats(0.0, 1.0, exclude_max=True),  # where
    st.integers(1, 24),  # how many bytes
    st.sampled_from(EXTREMES) | st.binary(min_size=1, max_size=8),
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes with one to four changes."""
    for kind, share, size, new in draw(st.lists(_OPERATION, min_size=1, max_size=4)):
        at = int(share * len(content))
        parts = {
            "flip": lambda c, i, n, b: c[:i] + bytes([c[i] ^ (1 << n % 8)]) + c[i + 1 :] if c else c,
            "cut": lambda c, i, n, b: c[:i],
            "set": lambda c, i, n, b: c[:i] + (b * n)[:n] + c[i + n :],
            "insert": lambda c, i, n, b: c[:i] + b * n + c[i:],
            "drop": lambda c, i, n, b: c[:i] + c[i + n :],
            "repeat": lambda c, i, n, b: c[:i] + c[i : i + 8 * n] + c[i:],
        }
        content = parts[kind](content, at, size, new)
    return content


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Containers and keys of all values below a node."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        yield node, key
        yield from _places(value)


@st.composite
def damaged_json(draw: st.DrawFn, content: bytes, keys: tuple[str, ...] = ()) -> bytes:
    """The JSON with one to three values replaced, removed or added under one of the keys; or with damaged bytes."""
    if draw(st.integers(0, 4)) == 0:
        return draw(damaged(content))
    tree = json.loads(content)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(tree))
        if not places:
            break
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        kind = draw(st.sampled_from(("replace", "remove", "add", "deepen")))
        if kind == "remove":
            del holder[key]
        elif kind == "add" and keys and isinstance(holder, dict):
            holder[draw(st.sampled_from(keys))] = copy.deepcopy(draw(st.sampled_from(NASTY)))
        elif kind == "deepen":
            holder[key] = copy.deepcopy([holder[key]])
        else:
            holder[key] = copy.deepcopy(draw(st.sampled_from(NASTY)))
    return json.dumps(tree).encode("utf-8")
