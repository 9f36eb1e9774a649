"""The results of a sweep: metrics of its tasks and their means, as JSON, as Markdown and as a page."""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from systems.report.comparison import SharedView, TableRow, shared_views
from systems.report.metric_labels import HEADLINE, best_of, numbers, text_of
from systems.report.page import write_page
from systems.report.results import read_results
from systems.runs import read_figures
from systems.sweep.plan import DEFAULT_VARIANT, Task
from systems.sweep.status import TaskState, TaskStatus, evaluation_path, is_trained
from utils.config.schema import REQUIRED
from utils.errors import InputError
from utils.files import replacing

log = logging.getLogger(__name__)
_COLUMNS = (
    "psnr",
    "ssim",
    "mesh_against_gt.chamfer_permille",
    "mesh_against_gt.fscore_1pct",
)  # those of the evaluation follow
_EVALUATED = {
    "mean.overall": "DTU: Chamfer distance, mm",
    "chamfer_permille": "evaluation: Chamfer distance, ‰ of the diagonal",
}
_COSTS = ("train_seconds",)
LABELS = HEADLINE | {f"evaluation.{key}": label for key, label in _EVALUATED.items()}
_ORDER = (*_COLUMNS, *(f"evaluation.{key}" for key in _EVALUATED), *_COSTS)


@dataclass(frozen=True)
class TaskResult:
    """A task and its metrics; its fields are the keys under `tasks` in sweep.json."""

    task: str
    scene: str
    variant: str
    seed: int | None
    state: str
    reason: str  # why it is not done
    run: str  # folder
    figures: dict[str, float]  # metrics by dotted key
    environment: dict[str, Any]  # hardware and versions that the run was made with


@dataclass(frozen=True)
class VariantMean:
    """The means of a variant over its finished tasks; its fields are the keys under `means` in sweep.json."""

    variant: str
    done: int
    tasks: int
    figures: dict[str, float]


def result_of(task: Task, status: TaskStatus) -> TaskResult:
    """The result of a task; with metrics if it is done, or was trained to the last step and failed afterwards."""
    is_known = status.state in (TaskState.DONE, TaskState.FAILED) and is_trained(task)
    metrics = read_figures(task.run.save / "metrics.json") if is_known else {}
    evaluation = read_figures(evaluation_path(task)) if task.evaluate and metrics else {}
    values = {**numbers(metrics), **{f"evaluation.{key}": value for key, value in numbers(evaluation).items()}}
    figures = {key: values[key] for key in _ORDER if key in values and math.isfinite(values[key])}
    return TaskResult(
        task.name, task.scene, task.variant, task.seed, str(status.state), status.reason, str(task.run.path),
        figures, metrics.get("environment", {}),
    )  # fmt: skip


def summary_of(task: Task) -> str:
    """The metrics of a finished task, for a log line."""
    figures = result_of(task, TaskStatus(TaskState.DONE)).figures
    return ", ".join(f"{LABELS[key]} {text_of(value)}" for key, value in figures.items())


def means_of(results: Sequence[TaskResult]) -> list[VariantMean]:
    """The means of each variant over its finished tasks, of the metrics that all of these have."""
    means = []
    for variant in dict.fromkeys(result.variant for result in results):
        own = [result for result in results if result.variant == variant]
        done = [result for result in own if result.state == TaskState.DONE]
        keys = [key for key in _ORDER if done and all(key in result.figures for result in done)]
        figures = {key: fmean(result.figures[key] for result in done) for key in keys}
        means.append(VariantMean(variant, len(done), len(own), figures))
    return means


def results_table(results: Sequence[TaskResult]) -> tuple[list[str], list[TableRow]]:
    """The column heads, and a row for each task and each mean.

    In each metric, the best variant of a scene and seed is marked, and the best mean if all variants have finished
    equally many tasks; `differs` marks rows that are not done."""
    keys = [key for key in _ORDER if any(key in result.figures for result in results)]
    columns = {
        "scene": True,
        "variant": any(result.variant != DEFAULT_VARIANT for result in results),
        "seed": any(result.seed is not None for result in results),
    }

    def row(titles: Sequence[str], figures: dict[str, float], state: str, best: Sequence[int]) -> TableRow:
        name, *others = [title for title, is_shown in zip(titles, columns.values(), strict=True) if is_shown]
        texts = [text_of(figures.get(key, REQUIRED)) for key in keys]
        return TableRow(name, [*others, *texts, state], bool(state), [len(others) + index for index in best])

    rows, means = [], means_of(results)
    for result in results:
        rivals = [other for other in results if (other.scene, other.seed) == (result.scene, result.seed)]
        titles = [result.scene, result.variant, "" if result.seed is None else str(result.seed)]
        state = "" if result.state == TaskState.DONE else result.state
        rows.append(row(titles, result.figures, state, _best(result, rivals, keys)))
    are_comparable = all(mean.done == mean.tasks for mean in means)
    for mean in means:
        state = "" if mean.done == mean.tasks else f"{mean.done} of {mean.tasks} done"
        rows.append(
            row(["mean", mean.variant, ""], mean.figures, state, _best(mean, means, keys) if are_comparable else [])
        )
    heads = [name for name, is_shown in columns.items() if is_shown]
    return [*heads, *(LABELS[key] for key in keys), ""], rows


def _best(one: TaskResult | VariantMean, rivals: Sequence[TaskResult | VariantMean], keys: Sequence[str]) -> list[int]:
    """Indices of the keys in which `one`, which is among its rivals, is the best."""
    own = next(index for index, rival in enumerate(rivals) if rival is one)
    values = {key: [rival.figures.get(key, REQUIRED) for rival in rivals] for key in keys}
    return [index for index, key in enumerate(keys) if own in best_of(key, values[key])]


def write_results(name: str, folder: Path, results: Sequence[TaskResult]) -> list[Path]:
    """Writes sweep.json, sweep.md and sweep.html into the folder of the sweep; returns their paths."""
    json_path, markdown_path, html_path = paths = [folder / f"sweep{suffix}" for suffix in (".json", ".md", ".html")]
    heads, rows = results_table(results)
    messages = [(result.task, f"{result.state}: {result.reason}") for result in results if result.reason]
    hardware = _hardware_of(results)
    content = {"name": name, "tasks": [asdict(result) for result in results]}
    content["means"] = [asdict(mean) for mean in means_of(results)]
    with replacing(json_path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    with replacing(markdown_path) as temporary:
        temporary.write_text(_markdown(name, heads, rows, messages, hardware), encoding="utf-8")
    reports = {result.task: f"{Path(result.run).name}/save/report.html" for result in results}
    reports = {task: path for task, path in reports.items() if (folder / path).is_file()}
    content = {"heads": heads, "rows": rows, "messages": messages, "hardware": hardware, "reports": reports}
    write_page(html_path, "sweep.html", name, **content, views=_views(results))
    return paths


def _views(results: Sequence[TaskResult]) -> dict[str, SharedView]:
    """The worst held-out view of each scene, as all of its finished runs show it."""
    views_of_scenes = {}
    for scene in dict.fromkeys(result.scene for result in results):
        done = [result for result in results if result.scene == scene and result.state == TaskState.DONE]
        try:
            runs = {result.task: read_results(Path(result.run)) for result in done}
            views = shared_views(runs, 1) if runs else []
        except InputError as error:  # such as a damaged picture; the metrics matter more
            log.warning("cannot show a view of %s: %s", scene, error)
            continue
        if views:
            views_of_scenes[scene] = views[0]
    return views_of_scenes


def _hardware_of(results: Sequence[TaskResult]) -> list[str]:
    """The devices and commits that runs were made with, each pair once."""
    environments = [result.environment for result in results if result.environment]
    pairs = [(environment.get("device"), environment.get("commit")) for environment in environments]
    return [f"{device}, commit {commit}" if commit else str(device) for device, commit in dict.fromkeys(pairs)]


def _markdown(
    name: str,
    heads: Sequence[str],
    rows: Sequence[TableRow],
    messages: Sequence[tuple[str, str]],
    hardware: Sequence[str],
) -> str:
    lines = [list(heads), ["---"] * len(heads)]
    for row in rows:
        cells = [f"**{cell}**" if index in row.best else cell for index, cell in enumerate(row.cells)]
        lines.append([row.name, *cells])
    parts = [f"# {name}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    parts += ["\n".join(f"- {task}: {text}" for task, text in messages)] if messages else []
    parts += [f"Made with {'; '.join(hardware)}."] if hardware else []
    return "\n\n".join(parts) + "\n"
