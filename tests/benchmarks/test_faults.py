"""Faults are struck and counted, and what was counted is what was meant to happen."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.common import RESULTS
from benchmarks.faults import FAULTS
from utils.registry import ROOT


def test_the_result_is_of_all_faults_and_each_ended_as_said() -> None:
    rows = json.loads((RESULTS / "faults.json").read_text(encoding="utf-8"))["rows"]
    assert [(row["fault"], row["times"]) for row in rows] == [(fault.name, fault.times) for fault in FAULTS]
    assert all(row["as_expected"] == row["times"] for row in rows)
    assert all(row["same_weights"] in (None, row["times"]) for row in rows)


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_each_fault_is_struck_once(tmp_path: Path) -> None:
    out = tmp_path / "faults.json"
    command = [sys.executable, "-m", "benchmarks.faults", "--quick", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [row["times"] for row in json.loads(out.read_text())["rows"]] == [1] * sum(
        fault.is_quick for fault in FAULTS
    )
