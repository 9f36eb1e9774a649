"""The benchmark of the viewer, with a visitor who is a process of its own."""

import json
from pathlib import Path

from benchmarks.report import report
from benchmarks.view import work
from utils.registry import ROOT


def test_three_kinds_of_windows_are_timed(tmp_path: Path, overrides: list[str]) -> None:
    out = tmp_path / "view.json"
    flags = ["--config", "configs/neus-demo.yaml", "--quick", "--device", "cpu", "--out", str(out)]
    work([*flags, *overrides, "system.warmup_steps=5"])
    result = json.loads(out.read_text(encoding="utf-8"))
    assert [row["viewer"] for row in result["rows"]] == ["off", "on, nobody there", "on, a visitor moving"]
    assert all(len(row["each_ms"]) == 2 and row["ms_per_step"]["median"] > 0.0 for row in result["rows"])
    assert result["rows"][0]["cpu_ms_slower_percent"]["median"] == 0.0
    known = json.loads((ROOT / "benchmarks" / "floors.json").read_text(encoding="utf-8"))
    text = report({"view.json": result}, known)
    assert "## Live viewer" in text
    assert "| off |" in text
    assert "2 windows of 6 steps" in text
