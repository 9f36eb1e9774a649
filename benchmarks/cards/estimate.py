"""Estimates trainings on cards that nobody measured, by what a step moves and computes (a roofline model).

    python -m benchmarks.cards.estimate

The model is models/ops/roofline.py, what a training's steps do systems/training/duration.py, and what a run holds
benchmarks/cards/memory_need.py."""

from functools import cache

from benchmarks.cards.memory_need import memory_need
from benchmarks.common import run_command
from benchmarks.tables import number
from models.ops.roofline import CARDS, Specs
from systems.configs import Experiment, read_experiment
from systems.training.duration import step_milliseconds

TRAININGS = {  # name: files of configs, and overrides; data need not be there
    "neus-blender": (["neus-blender"], ["dataset.scene=lego"]),
    "nerf-blender": (["nerf-blender"], ["dataset.scene=lego"]),
    "neus-capture": (["neus-capture", "base/object-alone"], ["dataset.root_dir=CAPTURE"]),  # with masks
}
HELD = {  # as TRAININGS, with the photographs of a usual set: how many, width, height
    "`neus-blender`": (["neus-blender"], (100, 800, 800)),
    "`neus-dtu`": (["neus-dtu"], (49, 1600, 1200)),
    "`neus-capture`, masks": (["neus-capture", "base/object-alone"], (80, 1200, 900)),
    "`neus-capture`, whole scene": (["neus-capture", "base/whole-scene"], (80, 1200, 900)),
    "`nerf-colmap`": (["nerf-colmap"], (80, 1200, 900)),
    "`neuralangelo-dtu-wmask`": (["neuralangelo-dtu-wmask"], (49, 800, 600)),
}
README_CARDS = ("T4", "RTX 3060", "RTX 3090", "RTX 4060", "RTX 4090", "RTX 5090", "A100 (40 GB)")


@cache
def training(name: str) -> Experiment:
    """One of TRAININGS, as it ships."""
    files, overrides = TRAININGS[name]
    return read_experiment([f"configs/{file}.yaml" for file in files], overrides)


def seconds(name: str, card: Specs) -> float:
    """Of a whole training on a card, without compiling, evaluations and the mesh."""
    return step_milliseconds(training(name), card) * training(name).trainer.max_steps / 1e3


def table() -> list[str]:
    """Lines of Markdown: milliseconds of steps and seconds of trainings."""
    heads = [f"{name}: ms a step, s for {training(name).trainer.max_steps} steps" for name in TRAININGS]
    lines = [f"| card | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(TRAININGS)}"]
    for card in CARDS:
        cells = [
            f"{number(step_milliseconds(training(name), card), 2)}, {number(seconds(name, card), 2)}"
            for name in TRAININGS
        ]
        lines.append(f"| {card.name} | {' | '.join(cells)} |")
    return lines


def readme_table() -> list[str]:
    """Lines of Markdown: seconds of the two trainings of a surface, by card."""
    cards = [card for name in README_CARDS for card in CARDS if card.name == name]
    lines = [f"| **estimated, not measured** | {' | '.join(card.name for card in cards)} |"]
    lines.append(f"| --- |{' ---: |' * len(cards)}")
    for name in ("neus-blender", "neus-capture"):
        steps = number(training(name).trainer.max_steps, 5)
        cells = [f"{number(seconds(name, card), 2)} s" for card in cards]
        lines.append(f"| `{name}`, {steps} steps | {' | '.join(cells)} |")
    return lines


def memory_table() -> list[str]:
    """Lines of Markdown: gigabytes of runs, as shipped and with quality/high."""
    lines = ["| GB, **estimated** | as shipped | `quality/high` |", "| --- | ---: | ---: |"]
    for name, (files, photographs) in HELD.items():
        cells = []
        for more in ([], ["quality/high"]):
            configs = [f"configs/{file}.yaml" for file in (*files, *more)]
            need = memory_need(read_experiment(configs, ["dataset.scene=x", "dataset.root_dir=x"]), photographs)
            cells.append(f"{need.whole / 1e9:.1f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def work(argv: list[str]) -> None:
    """Prints the estimates."""
    print("estimated, not measured:", *table(), "", *readme_table(), "", *memory_table(), sep="\n")


if __name__ == "__main__":
    raise SystemExit(run_command(work))
