"""The configuration reference is the one that the code gives, and holds every key with the default that it has."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field, fields
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from scripts import config_reference
from scripts.config_reference import KeyRow, comments, document, functions, keys_of_kinds, rows
from systems.configs import read_experiment
from utils import registry
from utils.config import resolvers, schema

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = {"root_dir": "photos", "loss": {}}  # values for keys that have no default
PLAIN_KINDS = ("dataset", "direction", "encoding", "network", "system")  # those not made of other components


@pytest.fixture(autouse=True)
def shipped_components_only(monkeypatch):
    """Other tests of the same process register components of their own; the document is about ours."""
    shipped = {key: entry for key, entry in registry._registry.entries.items() if key in registry._modules()}
    monkeypatch.setattr(registry._registry, "entries", shipped)


def test_document_is_what_the_code_gives():
    written = (ROOT / "docs" / "configs.md").read_text(encoding="utf-8")
    assert written == document(), "run: python scripts/config_reference.py"


def test_runs_as_a_file_from_anywhere_and_without_torch(tmp_path):
    script = ROOT / "scripts" / "config_reference.py"
    code = (
        f"import runpy, sys; sys.argv = [{str(script)!r}, '--out', 'made/reference.md']\n"
        f"try:\n    runpy.run_path({str(script)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n    print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout.splitlines(), done.stderr) == (["made/reference.md", "0 False"], "")
    assert (tmp_path / "made" / "reference.md").read_text(encoding="utf-8") == document()


def test_every_registered_name_has_its_place():
    text = document()
    for kind in registry.kinds():
        assert f"\n## {kind}\n" in text
        for name in registry.names(kind):
            entries = {"loss": f"| `lambda_{name}` |", "exporter": f"- `{name}`: "}
            assert entries.get(kind, f"\n### {name}\n") in text, f"{kind} {name}"
    assert set(keys_of_kinds()) | {"loss", "exporter"} == set(registry.kinds())


def test_tables_have_four_columns():
    tables = [line for line in document().split("## Arithmetic")[0].splitlines() if line.startswith("|")]
    assert len(tables) > 100
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {5}


@pytest.mark.parametrize(
    "cls", [registry.find(kind, name).target for kind in PLAIN_KINDS for name in registry.names(kind)]
)
def test_the_defaults_shown_are_those_that_a_config_without_them_gets(cls):
    shown: dict[str, Any] = {}
    for row in rows(cls):
        if row.default.startswith("`") and "<" not in row.key:
            *blocks, last = row.key.split(".")
            node = shown
            for block in blocks:
                node = node.setdefault(block, {})
            node[last] = json.loads(row.default.strip("`"))
    given = {item.name: REQUIRED[item.name] for item in fields(cls) if schema.default_of(item) is schema.REQUIRED}
    assert shown.keys().isdisjoint(given)
    assert schema.parse(cls, shown | given) == schema.parse(cls, given)


def test_places_are_those_of_a_config():
    found = keys_of_kinds()
    assert found["network"] == ["model.geometry.mlp_network_config", "model.texture.mlp_network_config"]
    tree = schema.to_dict(read_experiment([ROOT / "configs" / "neus-demo.yaml"], ["model.background=learned"]))
    for kind, where in found.items():
        for place in where:
            if place in ("model.geometry_bg", "model.texture_bg"):  # of older files: they end up in model.background
                continue
            block = reduce(dict.__getitem__, place.split("."), tree)
            assert block[schema.name_key(kind)] in registry.names(kind)


def test_functions_are_found_with_all_their_names():
    assert functions("exporter").keys() == set(registry.names("exporter"))
    losses = functions("loss")
    assert losses.keys() == set(registry.names("loss"))
    assert losses["rgb"] == losses["rgb_smooth_l1"]  # one function, two names
    assert losses["eikonal"] == (
        "Mean squared distance of |gradient| from 1 (IGR, arXiv:2002.10099).",
        "systems/losses.py",
    )


def test_every_resolver_has_an_example():
    registered = re.findall(r'register_resolver\("(\w+)"', Path(resolvers.__file__).read_text(encoding="utf-8"))
    assert set(config_reference.RESOLVERS) == {*resolvers._ARITHMETIC, *registered}


@dataclass(frozen=True)
class _Inner:
    """Nested
    settings.

    Only the first paragraph is shown."""

    depth: int = 1
    UNUSED: ClassVar[dict[str, str]] = {"width": "it is measured"}


@dataclass(frozen=True)
class _Base:
    size: tuple[int, float] | None = None  # None: as on disk
    mode: Literal["fast", "slow"] = "fast"


@dataclass(frozen=True)
class _Sample(_Base):
    inner: _Inner = field(default_factory=lambda: _Inner(depth=3))
    names: tuple[str, ...] = (
        "a # is no comment",  # on a line of its own
    )
    # Above it, on
    # two lines.
    needed: bool = field(kw_only=True)


def test_rows_of_a_class_with_all_that_fields_can_be():
    assert comments(_Sample).keys() == {"size", "names", "needed"}
    assert list(rows(_Sample)) == [
        KeyRow("size", "[whole number, number] or `null`", "`null`", "`null`: as on disk"),
        KeyRow("mode", '`"fast"` or `"slow"`', '`"fast"`'),
        KeyRow("inner", "block", "", "Nested settings."),
        KeyRow("inner.depth", "whole number", "`3`"),
        KeyRow("inner.width", "anything", "", "No effect, taken for the sake of older files: it is measured."),
        KeyRow("names", "[text, …]", '`["a # is no comment"]`', "on a line of its own"),
        KeyRow("needed", "true or false", "required", "Above it, on two lines."),
    ]
