"""What the interpreter accepts must also compile: kernels, for cards that need not be there, within their limits."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models.ops.cards import KNOWN, TILES, Card
from utils.registry import ROOT

# bytes of a thread that a kernel may spill on a card; 0 where it is not listed. Measured with Triton 3.6 and 3.7, the
# larger, and a fifth more
SPILLS: dict[str, dict[str, int]] = {
    "mlp._backward": {
        "sm_75": 680,
        "sm_80": 60,
        "sm_86": 60,
        "sm_89": 60,
        "sm_100": 20,
        "sm_120": 200,
        "gfx1030": 1940,
        "gfx1100": 2160,
    },
    "mlp._forward": {"sm_75": 160, "gfx1030": 780, "gfx1100": 780},
    "radiance_kernels.backward_color_kernel": {
        "sm_75": 20,
        "sm_80": 160,
        "sm_86": 80,
        "sm_89": 100,
        "sm_120": 180,
        "gfx1030": 860,
        "gfx1100": 960,
    },
    "radiance_kernels.backward_density_kernel": {"gfx1030": 410, "gfx1100": 450},
    "radiance_kernels.forward_kernel": {"sm_75": 160, "gfx1030": 230, "gfx1100": 210},
    "rays._fit": {"sm_90": 20},
    "sdf._backward": {
        "sm_75": 1620,
        "sm_80": 180,
        "sm_86": 120,
        "sm_89": 120,
        "sm_90": 20,
        "sm_120": 180,
        "gfx1030": 4080,
        "gfx1100": 4080,
    },
    "sdf._forward": {
        "sm_75": 40,
        "sm_80": 20,
        "sm_86": 20,
        "sm_89": 20,
        "sm_90": 440,
        "sm_100": 880,
        "sm_120": 20,
        "gfx1030": 800,
        "gfx1100": 800,
    },
}
FEW = {"sm_75": ["sdf"], "sm_90": ["mlp", "scatter"], "gfx1100": ["sdf", "composite"]}  # those that break first


def compiled(folder: Path, *flags: str) -> list[dict[str, Any]]:
    """What the command writes."""
    pytest.importorskip("triton")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "benchmarks.cards.kernels", "--out", str(folder / "out.json"), *flags]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "out.json").read_text(encoding="utf-8"))["kernels"]


def problems(found: list[dict[str, Any]]) -> list[str]:
    """Kernels that do not compile, need more shared memory than stated or spill more than they may."""
    wrong = []
    for one in found:
        card, where = KNOWN[one["card"]], f"{one['card']} {one['kernel']} {one['variant']}"
        if one["error"]:
            wrong.append(f"{where}: {one['error']}")
            continue
        if one["shared_memory"] > most_shared(card, one):
            wrong.append(f"{where}: {one['shared_memory']} bytes of shared memory, over {most_shared(card, one)}")
        allowed = SPILLS.get(one["kernel"], {}).get(one["card"], 0)
        if one["spilled"] > allowed:
            wrong.append(f"{where}: spills {one['spilled']} bytes, over {allowed}")
    return wrong


def most_shared(card: Card, one: dict[str, Any]) -> int:
    """What the table of tiles states of a network; of other kernels half of what a card has, for two programs."""
    if one["kernel"].startswith(("mlp.", "sdf.")):
        return card.tiles.shared_memory["HIDDEN=128" in one["variant"]]
    return card.shared_memory // 2


@pytest.mark.slow
@pytest.mark.parametrize("card", FEW)
def test_a_few_kernels_compile_for_cards_of_each_kind(card: str, tmp_path: Path) -> None:
    found = compiled(tmp_path, "--few", "--jobs", "2", "--cards", card, "--kernels", *FEW[card])
    assert problems(found) == []
    kernels = {one["kernel"] for one in found}
    assert kernels >= ({"mlp._backward", "hash_kernels.scatter_kernel"} if card == "sm_90" else {"sdf._backward"})


@pytest.mark.nightly
@pytest.mark.parametrize("card", KNOWN)
def test_all_kernels_compile_for_a_card_within_its_limits(card: str, tmp_path: Path) -> None:
    found = compiled(tmp_path, "--cards", card)
    assert problems(found) == []
    assert len({one["kernel"] for one in found}) >= 26
    assert len(found) > 100


def test_what_is_wrong_is_seen() -> None:
    fine = {"card": "sm_75", "kernel": "rays._mark", "variant": "", "shared_memory": 16, "spilled": 0, "error": None}
    wide = fine | {"kernel": "sdf._forward", "variant": "HIDDEN=128"}
    assert problems([fine, fine | {"shared_memory": 32_768}, wide | {"shared_memory": 42_000}]) == []
    wrong = [fine | {"error": "PTXAS"}, fine | {"spilled": 4}, fine | {"shared_memory": 32_769}]
    assert len(problems([*wrong, wide | {"shared_memory": 65_537}])) == 4


def test_every_card_has_tiles_that_fit_it() -> None:
    assert all(any(card.tiles is tiles for card in KNOWN.values()) for tiles in TILES)
    assert all(card.tiles.fits(128, card) for card in KNOWN.values())
