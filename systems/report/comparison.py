"""Writes a page that shows several runs side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from systems.report.figures import best_of, label_of, numbers, text_of
from systems.report.page import MAX_FACES, packed_mesh, training_plots, write_page
from systems.report.pictures import choose_views, picture_uri, read_held_out
from systems.report.results import RunResults
from utils.config.difference import disagreements
from utils.config.schema import REQUIRED
from utils.images import resize_area

_VIEWS = 4
_WIDTH = 400  # pixels of a picture
_COARSE, _ALIKE = 32, 3.0  # pixels of a side, and the mean difference of bytes, by which pictures are the same
_UNIQUE = "trial_name"  # of each run its own: no difference worth a line


@dataclass(frozen=True)
class Line:
    """A row of a table: one value of each run."""

    name: str
    cells: list[str]
    differs: bool
    best: list[int]  # numbers of the runs


@dataclass(frozen=True)
class SharedView:
    """A held-out view as each run renders it."""

    name: str
    pictures: list[tuple[str, str]]  # what it is, and a data URI


def write_comparison(runs: Sequence[RunResults], path: Path) -> Path:
    """Writes the page to `path`. Raises DataError for damaged files of a run."""
    named = dict(zip(_names(runs), runs, strict=True))
    meshes = []
    for name, results in named.items():
        packed, caption = packed_mesh(results, MAX_FACES // len(runs)) or (None, "")
        meshes += [(packed, f"{name}, {caption}")] if packed else []
    content = {
        "names": list(named),
        "figures": figure_lines([results.metrics for results in runs]),
        "plots": training_plots(named),
        "meshes": meshes,
        "views": shared_views(named),
        "settings": setting_lines(runs),
    }
    return write_page(path, "compare.html", f"{len(runs)} runs", **content)


def _names(runs: Sequence[RunResults]) -> list[str]:
    """What the runs are called, with a number where two have the same name."""
    names = [results.name for results in runs]
    return [name if names.count(name) == 1 else f"{name} ({index + 1})" for index, name in enumerate(names)]


def figure_lines(metrics: Sequence[dict[str, Any]]) -> list[Line]:
    """A row for each number that metrics.json of any run has."""
    found = [numbers(run) for run in metrics]
    lines = []
    for key in dict.fromkeys(key for run in found for key in run):
        values = [run.get(key, REQUIRED) for run in found]
        differs = any(value != values[0] for value in values)
        lines.append(Line(label_of(key), [text_of(value) for value in values], differs, best_of(key, values)))
    return lines


def setting_lines(runs: Sequence[RunResults]) -> list[Line]:
    """A row for each key of the configuration, and of the environment, on which runs disagree."""
    trees = [results.config | {"environment": results.metrics.get("environment", {})} for results in runs]
    found = disagreements(trees)
    return [
        Line(key, [text_of(value) for value in values], False, []) for key, values in found.items() if key != _UNIQUE
    ]


def shared_views(runs: dict[str, RunResults], most: int = _VIEWS) -> list[SharedView]:
    """Some held-out views of the first run, its worst among them, that all others have kept too, with its truth.

    Views are the same where they have the same number and the same truth, whatever its size."""
    found = []
    for index in choose_views(next(iter(runs.values())), most):
        views = {name: read_held_out(results, index) for name, results in runs.items()}
        truths = [view.pictures["truth"] for view in views.values() if view]
        if len(truths) < len(views) or not all(_same(truths[0], truth) for truth in truths[1:]):
            continue
        pictures = [("truth", picture_uri(truths[0], _WIDTH))]
        for name, view in views.items():
            psnr = text_of(view.figures.get("psnr", REQUIRED))
            pictures.append((f"{name}: PSNR {psnr}", picture_uri(view.pictures["rgb"], _WIDTH)))
            pictures.append((f"{name}: error", picture_uri(view.pictures["error"], _WIDTH)))
        found.append(SharedView(next(iter(views.values())).name, pictures))
    return found


def _same(truth: np.ndarray, other: np.ndarray) -> bool:
    """Whether two pictures show the same, though one may be smaller."""
    small = [resize_area(image, (_COARSE, _COARSE)).astype(np.float32) for image in (truth, other)]
    return float(np.abs(small[0] - small[1]).mean()) < _ALIKE
