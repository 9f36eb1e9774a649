"""Estimates hold for what was measured, and the page of cards says what compiles, fits and spills."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.cards import kernels
from benchmarks.cards.estimate import CARDS, memory_table, readme_table, training
from benchmarks.cards.page import DOCUMENT, page
from benchmarks.common import RESULTS
from models.ops.roofline import H200, Step, milliseconds
from systems.configs import read_experiment
from systems.training.duration import parts_of, step_milliseconds
from utils.registry import ROOT

(NEUS,) = parts_of(training("neus-blender"))


def result(name: str) -> dict[str, Any]:
    """One of benchmarks/results."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


# Timed with kernels that took longer: what varies is compared as a share of this step, which it was timed with.
EARLIER = result("train-neus-blender-lego")["median"]["ms_per_step"]


def measured() -> list[tuple[str, Step, float]]:
    """Steps of an H200 that were timed with other levels and samples, as shares of the one with those of the config."""
    rows = result("sweep-neus-blender-lego")["sweep"]
    (whole,) = (row["ms_per_step"]["median"] for row in rows if (row["varied"], row["value"]) == ("samples", 2**18))
    found = []
    for row in rows:
        varied, value = row["varied"], row["value"]
        grid = replace(NEUS.grid, num_levels=value if varied == "n_levels" else NEUS.grid.num_levels)
        samples = value if varied == "samples" else NEUS.samples
        step = replace(NEUS, grid=grid, samples=samples)
        found.append((f"{varied} {value}", step, row["ms_per_step"]["median"] / whole))
    return found


@pytest.mark.parametrize(("step", "share"), [row[1:] for row in measured()], ids=[row[0] for row in measured()])
def test_steps_grow_as_measured_within_15_percent(step: Step, share: float) -> None:
    assert milliseconds(step, H200) / milliseconds(NEUS, H200) == pytest.approx(share, rel=0.15)


@pytest.mark.parametrize("name", ["neus-blender", "nerf-blender"])
def test_measured_steps_are_estimated_within_15_percent(name: str) -> None:
    ms = result(f"train-{name}-lego-step-after")["profile"]["ms_per_step_without_profiler"]
    assert step_milliseconds(training(name), H200) == pytest.approx(ms, rel=0.15)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["model.background.name=learned"], "train-neus-blender-lego-background"),
        (["model.geometry.grad_type=finite_difference"], "train-neus-blender-lego-differences"),
    ],
)
def test_other_steps_take_as_much_longer_as_measured_within_15_percent(overrides: list[str], name: str) -> None:
    experiment = read_experiment(["configs/neus-blender.yaml"], ["dataset.scene=lego", *overrides])
    share = result(name)["median"]["ms_per_step"] / EARLIER
    assert step_milliseconds(experiment, H200) / milliseconds(NEUS, H200) == pytest.approx(share, rel=0.15)


def test_what_a_capture_takes_longer_is_estimated_within_15_percent() -> None:
    notes = (ROOT / "docs/experiments/2026-11-two-photographs.md").read_text(encoding="utf-8")
    seconds = float(re.search(r"20 000 steps of the sugar box, alone and warm: (\d+) s", notes)[1])
    longer = step_milliseconds(training("neus-capture"), H200) - milliseconds(NEUS, H200)
    assert longer == pytest.approx(seconds / 20 - EARLIER, rel=0.15)


def test_pages_show_what_the_program_says() -> None:
    report = json.loads(kernels.RESULT.read_text(encoding="utf-8"))
    assert DOCUMENT.read_text(encoding="utf-8") == page(report)
    assert "\n".join(readme_table()) in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\n".join(memory_table()) in (ROOT / "docs/training.md").read_text(encoding="utf-8")


def test_a_lesser_card_is_slower_and_more_work_takes_longer() -> None:
    whole = milliseconds(NEUS, H200)
    for change in ({"multiprocessors": 66}, {"gb_per_s": 400.0}, {"cache_mib": 2.0}, {"ghz": 1.0}, {"capability": 75}):
        assert milliseconds(NEUS, replace(H200, **change)) > whole
    assert milliseconds(replace(NEUS, samples=2**19), H200) > 1.5 * whole
    assert {card.name for card in CARDS} >= {"T4", "RTX 3060", "RTX 3090", "RTX 4060", "RTX 4090", "RTX 5090"}


def test_the_page_tells_what_compiles_fits_and_spills() -> None:
    fine = {"kernel": "sdf._forward", "shared_memory": 32_768, "spilled": 0, "error": None}
    before = [fine | {"spilled": 12_912, "shared_memory": 94_208}, fine]
    failed = fine | {"shared_memory": None, "spilled": None, "error": "tf32"}
    report = {
        "environment": {"triton": "3.7.1"},
        "cards": {
            "sm_75": {
                "own_tiles": [fine, fine | {"kernel": "rays._mark"}, fine | {"spilled": 8}],
                "few": {"tiles_of_sm_90": before, "own_tiles": [fine]},
            },
            "sm_90": {"own_tiles": [fine | {"shared_memory": 2**20}]},
            "gfx942": {
                "own_tiles": [fine | {"spilled": 4}],
                "few": {"tiles_of_sm_90": [failed], "own_tiles": [fine | {"spilled": 4}]},
            },
        },
    }
    text = page(report)
    assert "| `sdf._forward` | 12 912 → 0; 8 | 0 | × → 4 |" in text
    assert "| `sdf._forward` | 92! → 32 | 1 020! | × → 32 |" in text
    assert "| `rays._mark` | 32 | – | – |" in text  # not launched for the others
    assert text.count("`rays._mark`") == 1  # it spills nothing
    assert "Estimated, not measured" in text
