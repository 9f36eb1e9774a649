"""Estimates hold for what was measured, and the page of cards says what compiles, fits and spills."""

import json
from dataclasses import replace

import pytest

from benchmarks.cards import estimate
from benchmarks.cards.page import page
from benchmarks.common import RESULTS

NEUS, NERF = estimate.STEPS


def measured() -> list[tuple[str, estimate.Step, float]]:
    """Steps of an H200 that were timed, by name."""
    found = []
    for step, name in ((NEUS, "train-neus-blender-lego"), (NERF, "train-nerf-blender-lego")):
        result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        found.append((name, step, result["median"]["ms_per_step"]))
    for row in json.loads((RESULTS / "sweep-neus-blender-lego.json").read_text(encoding="utf-8"))["sweep"]:
        varied, value = row["varied"], row["value"]
        grid = replace(NEUS.grid, num_levels=value if varied == "n_levels" else NEUS.grid.num_levels)
        samples = value if varied == "samples" else NEUS.samples
        step = replace(NEUS, grid=grid, samples=samples)
        found.append((f"{varied} {value}", step, row["ms_per_step"]["median"]))
    return found


@pytest.mark.parametrize(("step", "ms"), [row[1:] for row in measured()], ids=[row[0] for row in measured()])
def test_measured_steps_are_estimated_within_15_percent(step: estimate.Step, ms: float) -> None:
    assert estimate.milliseconds(step, estimate.H200) == pytest.approx(ms, rel=0.15)


def test_a_lesser_card_is_slower_and_more_work_takes_longer() -> None:
    whole = estimate.milliseconds(NEUS, estimate.H200)
    for change in ({"multiprocessors": 66}, {"gb_per_s": 400.0}, {"cache_mib": 2.0}, {"ghz": 1.0}, {"capability": 75}):
        assert estimate.milliseconds(NEUS, replace(estimate.H200, **change)) > whole
    assert estimate.milliseconds(replace(NEUS, samples=2**19), estimate.H200) > 1.5 * whole
    assert {card.name for card in estimate.CARDS} >= {"T4", "RTX 3060", "RTX 3090", "RTX 4060", "RTX 4090", "RTX 5090"}


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
