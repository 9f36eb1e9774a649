"""Whether photos of one folder are one series or several, and the record of that, series.json."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from datasets.capture.series.movement import find_movement
from datasets.capture.series.prepared import PreparedSeries, require_masks
from datasets.capture.series.splits import Series

SERIES_FILE = "series.json"


@dataclass(frozen=True)
class Recognition:
    """The series that were told apart, and why."""

    series: Series
    reason: str
    is_certain: bool = True  # whether the photos told it; else all are taken for one series for want of anything else


def recognise_series(prepared: Sequence[PreparedSeries], parts: Series) -> Recognition:
    """The series in photos whose parts, in order, are prepared: those between which the object was moved.

    Raises CaptureError where a part has no masks."""
    for one in prepared:
        require_masks(one)
    series, reasons, is_certain = [parts[0]], [], True
    for (first, second), part in zip(pairwise(prepared), parts[1:], strict=True):
        movement = find_movement(first, second)
        reasons.append(movement.reason)
        is_certain &= movement.was_moved is not None
        if movement.was_moved:
            series.append(part)
        else:
            series[-1] += part
    return Recognition(tuple(series), "; ".join(reasons), is_certain)


def write_recognition(recognition: Recognition, folder: Path) -> None:
    """Writes series.json to a folder."""
    (folder / SERIES_FILE).write_text(json.dumps(asdict(recognition), indent=1), encoding="utf-8")


def read_recognition(folder: Path, names: Sequence[str]) -> Recognition | None:
    """The record of a folder, if there is one of just these photos."""
    try:
        content = json.loads((folder / SERIES_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    series = tuple(tuple(part) for part in content["series"])
    return (
        Recognition(series, content["reason"], content["is_certain"])
        if [name for part in series for name in part] == [*names]
        else None
    )
