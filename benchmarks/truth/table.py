"""The table of scenes by levers: the figures of each run, their medians over seeds, and how far seeds lie apart."""

import math
from collections.abc import Iterable, Sequence
from statistics import median

from benchmarks.common import rounded
from benchmarks.tables import UNKNOWN, Json, number, table
from systems.runs import read_figures
from systems.sweep.plan import Task
from systems.sweep.status import TaskState, TaskStatus, evaluation_path, launch_seconds

COLUMNS = {  # of the table, by the key of a figure
    "chamfer_permille": "chamfer, ‰",
    "accuracy_permille": "accuracy, ‰",
    "completeness_permille": "completeness, ‰",
    "fscore_1pct": "F at 1 %",
    "fscore_0.5pct": "F at 0.5 %",
    "normal_degrees": "normals, °",
    "psnr_inside": "PSNR inside, dB",
    "psnr": "PSNR, dB",
    "train_seconds": "training, s",
    "launch_seconds": "launch, s",
}
_PERMILLE = {f"{name}_permille": name for name in ("accuracy", "completeness", "noise_floor")}  # of the diagonal


def figures_of(task: Task) -> dict[str, float]:
    """The figures of a finished run, those of COLUMNS that it has, and the noise floor of its distances."""
    metrics, judged = read_figures(task.run.save / "metrics.json"), {}
    if task.evaluate:
        judged = read_figures(evaluation_path(task))
        judged |= {ours: 1e3 * judged[theirs] for ours, theirs in _PERMILLE.items() if theirs in judged}
    found = metrics | judged | {"launch_seconds": launch_seconds(task)}
    kept = {name: found.get(name) for name in (*COLUMNS, "noise_floor_permille")}
    return {name: rounded(value) for name, value in kept.items() if value is not None and math.isfinite(value)}


def rows_of(tasks: Iterable[Task], statuses: dict[str, TaskStatus], lost: dict[str, str]) -> list[Json]:
    """A row for each scene and lever: runs by seed, and of those that are done `median` and `spread`, largest less
    smallest.

    lost: scenes of which no task could be made, and why."""
    rows: dict[tuple[str, str], Json] = {}
    for task in tasks:
        row = rows.setdefault(
            (task.scene, task.variant), {"scene": task.scene, "lever": task.variant, "done": 0, "of": 0, "runs": []}
        )
        status = statuses[task.name]
        run = {"task": task.name, "seed": task.experiment.seed, "state": str(status.state)}
        run |= {"reason": status.reason} if status.reason else {}
        is_done = status.state is TaskState.DONE
        row["runs"].append(run | (figures_of(task) if is_done else {}))
        row["done"], row["of"] = row["done"] + is_done, row["of"] + 1
    for row in rows.values():
        row |= _over_seeds([run for run in row["runs"] if run["state"] == TaskState.DONE])
    nothing = [{"scene": scene, "lever": UNKNOWN, "done": 0, "of": 0, "runs": []} for scene in lost]
    return [*rows.values(), *(row | {"reason": lost[row["scene"]]} | _over_seeds([]) for row in nothing)]


def _over_seeds(runs: Sequence[Json]) -> Json:
    """Median and spread of each figure that all of the runs have; of one run there is no spread."""
    names = [name for name in COLUMNS if runs and all(name in run for run in runs)]
    values = {name: [run[name] for run in runs] for name in names}
    spread = {name: rounded(max(found) - min(found)) for name, found in values.items() if len(found) > 1}
    return {"median": {name: rounded(median(found)) for name, found in values.items()}, "spread": spread}


def table_of(rows: Sequence[Json]) -> str:
    """The rows as Markdown: medians with the spread of seeds in brackets, then each run that is not done, and why."""
    names = [name for name in COLUMNS if any(name in row["median"] for row in rows)]
    lines = [
        [row["scene"], row["lever"], f"{row['done']} of {row['of']}", *(_cell(row, name) for name in names)]
        for row in rows
    ]
    parts = [table(["scene", "lever", "runs", *(COLUMNS[name] for name in names)], lines)]
    open_ends = [f"- {row['scene']}: {row['reason']}" for row in rows if "reason" in row]
    open_ends += [
        f"- {run['task']}: {run['state']}{': ' if 'reason' in run else ''}{run.get('reason', '')}"
        for row in rows
        for run in row["runs"]
        if run["state"] != TaskState.DONE
    ]
    return "\n\n".join([*parts, *(["\n".join(open_ends)] if open_ends else [])])


def _cell(row: Json, name: str) -> str:
    digits = 4 if name.startswith(("fscore", "psnr")) else 3
    spread = f" ({number(row['spread'][name], 2)})" if name in row["spread"] else ""
    return number(row["median"].get(name), digits) + spread
