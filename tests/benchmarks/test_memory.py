"""The benchmark of many large images, on few small ones."""

import json
from pathlib import Path

from benchmarks.memory import work


def test_both_placements_are_measured(tmp_path: Path, overrides: list[str]) -> None:
    out = tmp_path / "memory.json"
    flags = ["--views", "3", "--size", "24", "16", "--quick", "--device", "cpu", "--out", str(out)]
    assert work(["--config", "configs/neus-demo.yaml", *flags, *overrides, "system.warmup_steps=5"]) == 0
    result = json.loads(out.read_text())
    assert result["size"] == [24, 16]
    assert [row["pixels_on"] for row in result["rows"]] == ["device", "host"]
    for row in result["rows"]:
        assert row["ms_per_step"]["median"] > 0.0
        assert abs(row["images_mib"] * 2**20 - 3 * 24 * 16 * 3) < 1.0
