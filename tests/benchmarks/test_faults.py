"""Faults are struck, counted and written down, and the document shows what was counted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.common import RESULTS
from benchmarks.faults import BEGIN, DOCUMENT, END, FAULTS, kept_rows, with_table
from utils.registry import ROOT


def test_the_document_shows_the_result() -> None:
    rows = kept_rows(RESULTS)
    assert [row["times"] for row in rows] == [fault.times for fault in FAULTS]
    assert all(row["as_expected"] == row["times"] for row in rows)
    assert all(row["same_weights"] in (None, row["times"]) for row in rows)
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == with_table(text, rows)
    assert text.index(BEGIN) < text.index("kill -9 at any moment of the training") < text.index(END)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_each_fault_is_struck_once(tmp_path: Path) -> None:
    out = tmp_path / "faults.json"
    command = [sys.executable, "-m", "benchmarks.faults", "--quick", "--out", str(out)]
    before = DOCUMENT.read_bytes()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [row["times"] for row in json.loads(out.read_text())["rows"]] == [1] * sum(
        fault.is_quick for fault in FAULTS
    )
    assert DOCUMENT.read_bytes() == before
