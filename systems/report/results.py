"""Reads the results of a run from its folder: metrics, configuration and curves."""

import csv
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from systems.report.curves import Curve
from systems.runs import RunFolder, no_run
from utils.config.compose import collect, resolve
from utils.errors import DataError
from utils.terminal.typed_paths import nearby

_HINT = "Give the folder of a run that was tested, such as exp/<name>/<tag>@<time>."


@dataclass(frozen=True)
class RunResults:
    """The results of one run, read from its folder."""

    folder: RunFolder
    name: str  # [name]/[tag]@[timestamp]
    metrics: dict[str, Any]  # of save/metrics.json
    config: dict[str, Any]  # of config/parsed.yaml
    curves: dict[str, Curve]  # of csv_logs, by column


def read_results(path: Path) -> RunResults:
    """The results in a run's folder. Raises InputError if there are none, or they are damaged."""
    run = RunFolder(path)
    metrics = run.save / "metrics.json"
    if not path.is_dir():
        raise DataError(f"{path}: no such folder.{nearby(path)} {_HINT}")
    if not metrics.is_file():
        raise no_run(path, f"expected save/metrics.json in this folder, found none. {_HINT}")
    try:
        figures = json.loads(metrics.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{metrics}: expected JSON, got a damaged file ({error}). Run launch.py --test again."
        ) from error
    if not isinstance(figures, dict):
        raise DataError(f"{metrics}: expected a block of figures, got {type(figures).__name__}. {_HINT}")
    name = "/".join(path.resolve().parts[-2:])
    return RunResults(run, name, figures, resolve(collect([run.parsed_config])), read_curves(path / "csv_logs"))


def read_curves(folder: Path) -> dict[str, Curve]:
    """The columns of a run's logs by name, from the first training and all that resumed it.

    If a step was logged twice, as after resuming from an earlier checkpoint, the later log counts."""
    columns: dict[str, dict[float, float]] = {}
    logs = sorted(folder.glob("version_*/metrics.csv"), key=lambda log: int(re.sub(r"\D", "", log.parent.name) or 0))
    for log in logs:
        with open(log, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for column, text in row.items():
                    value = _number(text)
                    if column not in ("step", "epoch") and math.isfinite(value + _number(row.get("step"))):
                        columns.setdefault(column, {})[float(row["step"])] = value
    curves = {}
    for column, values in columns.items():
        steps = sorted(values)
        curves[column] = Curve(np.array(steps), np.array([values[step] for step in steps]))
    return curves


def _number(text: str | list[str] | None) -> float:
    """The number in a cell, NaN if it holds none; cells of a damaged row are lists or missing."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan
