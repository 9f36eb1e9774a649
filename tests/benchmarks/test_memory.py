"""The benchmark of many large images, on few small ones."""

import json
import subprocess
import sys
from pathlib import Path

from utils.registry import ROOT


def test_both_placements_are_measured(tmp_path: Path, overrides: list[str]) -> None:
    out = tmp_path / "memory.json"
    flags = ["--views", "3", "--size", "24", "16", "--quick", "--device", "cpu", "--out", str(out)]
    command = [sys.executable, "-m", "benchmarks.memory", "--config", "configs/neus-demo.yaml", *flags, *overrides]
    # in a process of its own: the dataset that it registers is for nobody else
    done = subprocess.run([*command, "system.warmup_steps=5"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert result["size"] == [24, 16]
    assert [row["pixels_on"] for row in result["rows"]] == ["device", "host"]
    for row in result["rows"]:
        assert row["ms_per_step"]["median"] > 0.0
        assert abs(row["images_mib"] * 2**20 - 3 * 24 * 16 * 3) < 1.0
