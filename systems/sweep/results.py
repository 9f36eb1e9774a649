"""What a sweep has found: figures of its tasks and their means, as JSON, as Markdown and as a page."""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from systems.report.comparison import Line, SharedView, shared_views
from systems.report.figures import HEADLINE, best_of, numbers, text_of
from systems.report.page import write_page
from systems.report.results import read_results
from systems.runs import read_figures
from systems.sweep.plan import ONLY, Task
from systems.sweep.standing import Standing, State, evaluation_of, is_trained
from utils.config.schema import REQUIRED
from utils.errors import InputError
from utils.files import replacing

log = logging.getLogger(__name__)
_COLUMNS = ("psnr", "ssim", "mesh_against_gt.chamfer_permille", "mesh_against_gt.fscore_1pct")  # and the evaluation's
_EVALUATED = {
    "mean.overall": "DTU: Chamfer distance, mm",
    "chamfer_permille": "evaluation: Chamfer distance, ‰ of the diagonal",
}
_LAST = ("train_seconds",)
LABELS = HEADLINE | {f"evaluation.{key}": label for key, label in _EVALUATED.items()}
_ORDER = (*_COLUMNS, *(f"evaluation.{key}" for key in _EVALUATED), *_LAST)


@dataclass(frozen=True)
class Row:
    """A task and what came of it."""

    task: str
    scene: str
    variant: str
    seed: int | None
    state: str
    reason: str  # why it is not done
    run: str  # folder
    figures: dict[str, float]  # by dotted key
    environment: dict[str, Any]  # that it was made with


@dataclass(frozen=True)
class Mean:
    """The means of a variant over the tasks that are done."""

    variant: str
    done: int
    tasks: int
    figures: dict[str, float]


def row_of(task: Task, standing: Standing) -> Row:
    """The results of a task; figures only of one that is done, or failed behind its last step."""
    is_known = standing.state in (State.DONE, State.FAILED) and is_trained(task)
    metrics = read_figures(task.run.save / "metrics.json") if is_known else {}
    evaluation = read_figures(evaluation_of(task)) if task.evaluate and metrics else {}
    found = {**numbers(metrics), **{f"evaluation.{key}": value for key, value in numbers(evaluation).items()}}
    figures = {key: found[key] for key in _ORDER if key in found and math.isfinite(found[key])}
    return Row(
        task.name, task.scene, task.variant, task.seed, str(standing.state), standing.reason, str(task.run.path),
        figures, metrics.get("environment", {}),
    )  # fmt: skip


def brief(task: Task) -> str:
    """The figures of a task that is done, for its line."""
    figures = row_of(task, Standing(State.DONE)).figures
    return ", ".join(f"{LABELS[key]} {text_of(value)}" for key, value in figures.items())


def means_of(rows: Sequence[Row]) -> list[Mean]:
    """The means of each variant over its tasks that are done and have the figure."""
    found = []
    for variant in dict.fromkeys(row.variant for row in rows):
        own = [row for row in rows if row.variant == variant]
        done = [row for row in own if row.state == State.DONE]
        keys = [key for key in _ORDER if done and all(key in row.figures for row in done)]
        figures = {key: fmean(row.figures[key] for row in done) for key in keys}
        found.append(Mean(variant, len(done), len(own), figures))
    return found


def make_table(rows: Sequence[Row]) -> tuple[list[str], list[Line]]:
    """The heads of the columns, and a line for each task and each mean.

    The best of the variants of a scene and a seed is marked, and the best mean; so is what is not done (`differs`)."""
    keys = [key for key in _ORDER if any(key in row.figures for row in rows)]
    named = [True, any(row.variant != ONLY for row in rows), any(row.seed is not None for row in rows)]
    means, lines = means_of(rows), []
    for row in rows:
        rivals = [other for other in rows if (other.scene, other.seed) == (row.scene, row.seed)]
        texts = [text_of(row.figures.get(key, REQUIRED)) for key in keys]
        titles = [row.scene, row.variant, "" if row.seed is None else str(row.seed)]
        state = "" if row.state == State.DONE else row.state
        lines.append(_line(titles, named, texts, state, _best(row, rivals, keys)))
    for mean in means:
        texts = [text_of(mean.figures.get(key, REQUIRED)) for key in keys]
        state = "" if mean.done == mean.tasks else f"{mean.done} of {mean.tasks} done"
        alike = all(other.done == other.tasks for other in means)
        lines.append(_line(["mean", mean.variant, ""], named, texts, state, _best(mean, means, keys) if alike else []))
    heads = [name for name, there in zip(("scene", "variant", "seed"), named, strict=True) if there]
    return [*heads, *(LABELS[key] for key in keys), ""], lines


def _line(titles: Sequence[str], named: Sequence[bool], texts: Sequence[str], state: str, best: Sequence[int]) -> Line:
    first, *others = [title for title, there in zip(titles, named, strict=True) if there]
    return Line(first, [*others, *texts, state], bool(state), [len(others) + index for index in best])


def _best(one: Row | Mean, rivals: Sequence[Row | Mean], keys: Sequence[str]) -> list[int]:
    """The numbers of the keys in which one is the best of all."""
    found, own = [], next(index for index, rival in enumerate(rivals) if rival is one)
    for index, key in enumerate(keys):
        if own in best_of(key, [rival.figures.get(key, REQUIRED) for rival in rivals]):
            found.append(index)
    return found


def write_results(name: str, folder: Path, rows: Sequence[Row]) -> list[Path]:
    """Writes sweep.json, sweep.md and sweep.html into the folder of the sweep; returns their paths."""
    paths = [folder / f"sweep{suffix}" for suffix in (".json", ".md", ".html")]
    content = {"name": name, "tasks": [asdict(row) for row in rows], "means": [asdict(mean) for mean in means_of(rows)]}
    heads, lines = make_table(rows)
    told = [(row.task, f"{row.state}: {row.reason}") for row in rows if row.reason]
    made = _made_with(rows)
    texts = (json.dumps(content, indent=2, allow_nan=False) + "\n", _markdown(name, heads, lines, told, made))
    for path, text in zip(paths, texts, strict=False):
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    reports = {row.task: f"{Path(row.run).name}/save/report.html" for row in rows}
    reports = {task: path for task, path in reports.items() if (folder / path).is_file()}
    content = {"heads": heads, "lines": lines, "told": told, "made": made, "reports": reports}
    write_page(paths[2], "sweep.html", name, **content, views=_views(rows))
    return paths


def _views(rows: Sequence[Row]) -> dict[str, SharedView]:
    """The worst held-out view of each scene as all of its runs that are done show it."""
    found = {}
    for scene in dict.fromkeys(row.scene for row in rows):
        runs = {row.task: Path(row.run) for row in rows if row.scene == scene and row.state == State.DONE}
        try:
            views = shared_views({task: read_results(run) for task, run in runs.items()}, 1) if runs else []
        except InputError as error:  # a picture that is damaged: the figures are worth more
            log.warning("no view of %s is shown: %s", scene, error)
            continue
        if views:
            found[scene] = views[0]
    return found


def _made_with(rows: Sequence[Row]) -> list[str]:
    """The hardware and commits that runs were made with, each once."""
    made = [(row.environment.get("device"), row.environment.get("commit")) for row in rows if row.environment]
    return [f"{device}, commit {commit}" if commit else str(device) for device, commit in dict.fromkeys(made)]


def _markdown(
    name: str, heads: Sequence[str], lines: Sequence[Line], told: Sequence[tuple[str, str]], made: Sequence[str]
) -> str:
    rows = [list(heads), ["---"] * len(heads)]
    for line in lines:
        rows.append([line.name, *(f"**{c}**" if index in line.best else c for index, c in enumerate(line.cells))])
    parts = [f"# {name}", "\n".join(f"| {' | '.join(row)} |" for row in rows)]
    parts += ["\n".join(f"- {task}: {text}" for task, text in told)] if told else []
    parts += [f"Made with {'; '.join(made)}."] if made else []
    return "\n\n".join(parts) + "\n"
