"""The benchmark of long work, on little work."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.footprint import BOUNDED, FIGURES, grown, summary
from benchmarks.load import work
from benchmarks.photographs import write_scene
from benchmarks.report import report
from systems.configs import read_experiment
from utils.registry import ROOT, build

KNOWN = json.loads((ROOT / "benchmarks" / "floors.json").read_text(encoding="utf-8"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_all_parts_stand_in_one_file(tmp_path: Path) -> None:
    out = tmp_path / "load.json"
    flags = ["--quick", "--device", "cpu", "--side_by_side", "2", "--out", str(out)]
    command = [sys.executable, "-m", "benchmarks.load", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text(encoding="utf-8"))
    for part, number, samples in (("steps", 40, 21), ("cycles", 3, 3)):
        found = result[part]
        assert (found[part], len(found["samples"]), found["samples"][-1][part]) == (number, samples, number)
        assert set(BOUNDED) < set(found["figures"]) < set(FIGURES)
        assert f"{part}: {part} {number}, memory_mib" in done.stderr
        assert found["figures"]["checkpoints"]["last"] == 1
        assert found["figures"]["files_open"]["growth"] == found["figures"]["threads"]["growth"] == 0.0
        assert found["figures"]["tensorboard_mib"]["last"] > 0.0
    images = result["images"]
    assert images["pixels_mib"] == pytest.approx(6 * 640 * 480 * 4 / 2**20, rel=1e-4)
    assert 0.0 < images["before_mib"] < images["after_mib"] <= images["peak_mib"]
    text = report({"load.json": result}, KNOWN)
    for line in (
        "## Long work",
        "One training of 40 steps.",
        "| open file handles |",
        "6 generated photographs of 640×480",
    ):
        assert line in text


def test_growth_is_counted_from_the_second_sample() -> None:
    held = {"files_open": 4, "threads": 1, "checkpoints": 1}
    samples = [{"steps": step, "memory_mib": memory, **held} for step, memory in ((1, 10.0), (10, 60.0), (30, 50.0))]
    samples[2]["threads"] = 3
    figures = summary(samples, "steps", 100)
    assert figures["memory_mib"] == {"first": 10.0, "second": 60.0, "last": 50.0, "largest": 60.0, "growth": -50.0}
    assert grown(figures) == ["threads"]
    assert summary(samples[:1], "steps", 100)["memory_mib"]["growth"] is None


def test_generated_photographs_are_a_scene(tmp_path: Path) -> None:
    root = write_scene(tmp_path / "scene", 3, (32, 24))
    config = read_experiment(["configs/neus-demo.yaml"], [f"dataset.root_dir={root}"]).dataset
    scenes = [build(config).load(split) for split in ("train", "val", "test")]
    assert [len(scene) for scene in scenes] == [3, 2, 2]
    for scene in scenes:
        assert scene.sizes.tolist() == [[32, 24]] * len(scene)
        middle = scene.pixels.reshape(-1, 24, 32, 4)[:, 12, 16]
        seen = -scene.c2w[:, :, 2]  # the normal of the sphere where the camera looks at it
        assert abs(middle[:, :3] / 255.0 - (0.5 + 0.4 * seen)).max() < 0.05
        assert (middle[:, 3] == 255).all()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--parts", "views"], "'views'"),
        (["--steps", "3"], "a whole number from 20 on, got '3'"),
        (["--cycles", "1"], "a whole number from 2 on"),
        (["--images", "none"], "a whole number from 1 on"),
        (["--device", "tpu"], "--device tpu"),
        (["--config", "a.yaml"], "--config"),
    ],
)
def test_bad_arguments_are_one_line(argv: list[str], said: str, refused: Callable[..., str]) -> None:
    assert said in refused(work, *argv)
