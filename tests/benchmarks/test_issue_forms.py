"""What the forms for issues ask for: valid fields, and commands and files that there are."""

import re
from pathlib import Path

import pytest
import yaml

from benchmarks.mine import SEND
from utils.registry import ROOT

FORMS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in ROOT.glob(".github/ISSUE_TEMPLATE/*")}
REQUIRED = {"card": {"card", "json"}, "bug": {"command", "output", "environment", "expected"}}
TYPES = {"markdown", "textarea", "input", "dropdown", "checkboxes"}


def test_there_is_a_form_for_cards_and_one_for_bugs() -> None:
    assert FORMS.keys() == REQUIRED.keys()
    assert f'"{FORMS["card"]["name"]}"' in SEND


@pytest.mark.parametrize("name", REQUIRED)
def test_fields_are_as_a_form_has_them(name: str) -> None:
    form = FORMS[name]
    assert {"name", "description", "body"} <= form.keys() <= {"name", "description", "body", "title", "labels"}
    parts = form["body"]
    assert {part["type"] for part in parts} <= TYPES
    asked = [part for part in parts if part["type"] != "markdown"]
    assert all(part["attributes"]["label"] and re.fullmatch(r"[\w-]+", part["id"]) for part in asked)
    assert len({part["id"] for part in asked}) == len(asked)
    assert {part["id"] for part in asked if part.get("validations", {}).get("required")} == REQUIRED[name]
    assert all(part["attributes"]["value"].strip() for part in parts if part["type"] == "markdown")


def test_what_the_forms_name_is_there() -> None:
    text = "".join(map(str, FORMS.values()))
    assert "python -m benchmarks.mine" in text
    named = set(re.findall(r"\b(?:docs/[\w-]+|SECURITY)\.md", text))
    assert named == {"docs/troubleshooting.md", "SECURITY.md"}
    assert all(Path(ROOT, path).is_file() for path in named)
    banner = Path(ROOT, "systems/training/banner.py").read_text(encoding="utf-8")
    assert [line in banner for line in re.findall(r'"(device:|kernels:)"', text)] == [True, True]
