"""The page of documentation that is written from the figures of all kernels."""

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.cards.estimate import table
from benchmarks.tables import UNKNOWN, number
from models.ops.cards import KNOWN
from utils.registry import ROOT

DOCUMENT = ROOT / "docs" / "dev" / "cards.md"
Json = dict[str, Any]
HEADER = """# Cards that the kernels are compiled for

Written by `python -m benchmarks.cards.kernels`, which compiles what real steps launch for cards that need not be there.
**Compiled, not run:** only `sm_90` was ever run and timed (H100, H200). A figure is the largest of all variants of a
kernel that trainings, views and meshes launch. `a → b` stands in front where `configs/neus-blender.yaml` alone has a
with the tiles and types of `sm_90`, and b with the card's own, from the table in `models/ops/cards.py`. `×`: it does
not compile. `!`: it takes more shared memory than the card has.

`PHOTOSURF_CARD=sm_75 python launch.py ...` runs a training with the tiles and types of another card, for tests.
"""
ESTIMATES = """## Estimated, not measured

What a step should take, by `python -m benchmarks.cards.estimate`: a roofline model of bytes, operations and atomic
additions, without compiling, evaluations and the mesh. It gives fifteen measured steps of the H200 (1.34, 0.87 and
2.55 ms for these three) within 15 %. The H100 was timed too, no other card ever; expect a factor of two. `neus-capture`
is one with masks. `python -m benchmarks.mine` measures your card beside its estimate.
"""


def page(report: Json) -> str:
    """The whole page, from the results by card."""
    cards = [card for card in KNOWN if card in report["cards"]]
    rows = sorted({figures["kernel"] for card in cards for figures in report["cards"][card]["own_tiles"]})
    spilled = _table(report, cards, rows, lambda found: found["spilled"], lambda value, card: number(value, 6))
    shared = _table(report, cards, rows, lambda found: found["shared_memory"], _kib)
    limits = ", ".join(f"{card} {number(KNOWN[card].shared_memory / 1024)}" for card in cards)
    return "\n".join(
        [
            HEADER,
            "## Spilled, bytes of a thread",
            "",
            *spilled,
            "",
            "Kernels that are not listed spill nothing on any card.",
            "",
            "## Shared memory of a program, KiB",
            "",
            f"A card has, in KiB: {limits}.",
            "",
            *shared,
            "",
            f"Triton {report['environment']['triton']}.",
            "",
            ESTIMATES,
            *table(),
            "",
        ]
    )


def _kib(value: int, card: str) -> str:
    return number(value / 1024) + ("!" if value > KNOWN[card].shared_memory else "")


def _table(
    report: Json, cards: list[str], rows: list[str], value: Callable[[Json], int], shown: Callable[[int, str], str]
) -> Iterator[str]:
    """Lines of a table: kernels by cards; without those that have 0 everywhere."""
    yield f"| kernel | {' | '.join(cards)} |"
    yield f"| --- |{' ---: |' * len(cards)}"
    for kernel in rows:
        cells = [_cell(report["cards"][card], kernel, lambda found: value(found), card, shown) for card in cards]
        if any(cell not in ("0", UNKNOWN) for cell in cells):
            yield f"| `{kernel}` | {' | '.join(cells)} |"


def _cell(found: Json, kernel: str, value: Callable[[Json], int], card: str, shown: Callable[[int, str], str]) -> str:
    """The largest figure of a kernel, and in front of it those of few settings with other tiles and with its own."""

    def largest(every: list[Json]) -> str:
        own = [figures for figures in every if figures["kernel"] == kernel]
        if any(figures["error"] for figures in own):
            return "×"
        return shown(max(value(figures) for figures in own), card) if own else UNKNOWN

    compared = found.get("few", {"tiles_of_sm_90": [], "own_tiles": []})
    before, after, of_all = (largest(every) for every in (*compared.values(), found["own_tiles"]))
    if before in (UNKNOWN, after):
        return of_all
    return f"{before} → {after}" + (f"; {of_all}" if of_all != after else "")
