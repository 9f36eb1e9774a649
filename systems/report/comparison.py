"""Writes a page that shows several runs side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from systems.report.metric_labels import best_of, figure_text, label_of, numbers, text_of
from systems.report.page import MAX_FACES, packed_mesh, training_plots, write_page
from systems.report.pictures import choose_views, picture_uri, read_held_out
from systems.report.results import RunResults
from utils.config.difference import disagreements
from utils.config.schema import REQUIRED
from utils.images import resize_area

_VIEWS = 4
_DIGITS = 5  # of a figure, so that small differences show
_WIDTH = 400  # pixels of a picture
_COARSE, _MAX_DIFFERENCE = 32, 3.0  # same pictures: mean difference of bytes at this side length in pixels
_UNIQUE = "trial_name"  # always differs between runs, so it is not listed


@dataclass(frozen=True)
class TableRow:
    """A row of a table, with one cell for each run."""

    name: str
    cells: list[str]
    differs: bool  # the row is highlighted
    best: list[int]  # indices of the best cells


@dataclass(frozen=True)
class SharedView:
    """A held-out view as each run renders it."""

    name: str
    pictures: list[tuple[str, str]]  # caption and data URI


def write_comparison(runs: Sequence[RunResults], path: Path) -> Path:
    """Writes the page to `path`. Raises DataError if files of a run are damaged."""
    shared, names = _names(runs)
    named = dict(zip(names, runs, strict=True))
    meshes = []
    for name, results in named.items():
        packed, caption = packed_mesh(results, MAX_FACES // len(runs)) or (None, "")
        meshes += [(packed, f"{name}, {caption}")] if packed else []
    content = {
        "names": list(named),
        "metrics": metric_rows([results.metrics for results in runs]),
        "plots": training_plots(named),
        "meshes": meshes,
        "views": shared_views(named),
        "settings": setting_rows(runs),
    }
    return write_page(path, "compare.html", f"{shared}{len(runs)} runs", **content)


def _names(runs: Sequence[RunResults]) -> tuple[str, list[str]]:
    """What all names begin with, as "NAME: ", and the rest of each; with a number if two runs have the same name."""
    experiments = {results.name.partition("/")[0] for results in runs}
    shared = experiments.pop() if len(experiments) == 1 else ""
    names = [results.name.removeprefix(f"{shared}/") for results in runs]
    counted = [name if names.count(name) == 1 else f"{name} ({index + 1})" for index, name in enumerate(names)]
    return shared and f"{shared}: ", counted


def metric_rows(metrics: Sequence[dict[str, Any]]) -> list[TableRow]:
    """A row for each number in any run's metrics.json."""
    runs = [numbers(run) for run in metrics]
    rows = []
    for key in dict.fromkeys(key for run in runs for key in run):
        values = [run.get(key, REQUIRED) for run in runs]
        differs = any(value != values[0] for value in values)
        cells = [figure_text(value, _DIGITS) for value in values]
        rows.append(TableRow(label_of(key), cells, differs, best_of(key, values)))
    return rows


def setting_rows(runs: Sequence[RunResults]) -> list[TableRow]:
    """A row for each key of the configuration or the environment in which the runs differ."""
    trees = [results.config | {"environment": results.metrics.get("environment", {})} for results in runs]
    return [
        TableRow(key, [text_of(value) for value in values], False, [])
        for key, values in disagreements(trees).items()
        if key != _UNIQUE
    ]


def shared_views(runs: dict[str, RunResults], most: int = _VIEWS) -> list[SharedView]:
    """Some held-out views that all runs have, beside the photograph, including the worst view of the first run.

    most: how many views; views of two runs are the same if they have the same index and the same photograph, at any
    size."""
    shared = []
    for index in choose_views(next(iter(runs.values())), most):
        views = {name: read_held_out(results, index) for name, results in runs.items()}
        truths = [view.pictures["truth"] for view in views.values() if view]
        if len(truths) < len(views) or not all(_same(truths[0], truth) for truth in truths[1:]):
            continue
        pictures = [("truth", picture_uri(truths[0], _WIDTH))]
        for name, view in views.items():
            psnr = figure_text(view.figures.get("psnr", REQUIRED))
            pictures.append((f"{name}: PSNR {psnr}", picture_uri(view.pictures["rgb"], _WIDTH)))
            pictures.append((f"{name}: error", picture_uri(view.pictures["error"], _WIDTH)))
        shared.append(SharedView(next(iter(views.values())).name, pictures))
    return shared


def _same(truth: np.ndarray, other: np.ndarray) -> bool:
    """Whether two pictures show the same, possibly at different sizes."""
    small = [resize_area(image, (_COARSE, _COARSE)).astype(np.float32) for image in (truth, other)]
    return float(np.abs(small[0] - small[1]).mean()) < _MAX_DIFFERENCE
