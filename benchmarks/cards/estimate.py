"""Estimates trainings on cards that nobody measured, by what a step moves and computes (a roofline model).

    python -m benchmarks.cards.estimate

The model is models/ops/roofline.py, what a training's steps do systems/training/duration.py."""

from functools import cache

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


def work(argv: list[str]) -> None:
    """Prints the estimates."""
    print("estimated, not measured:", *table(), "", *readme_table(), sep="\n")


if __name__ == "__main__":
    raise SystemExit(run_command(work))
