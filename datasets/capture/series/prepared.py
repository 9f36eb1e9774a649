"""A series that the stages up to `masks` have prepared, and what they left of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from datasets.capture.masks.mask_files import MASK_FOLDER, masks_in
from datasets.capture.masks.stage import GOOD_AGREEMENT, GOOD_TOLD
from datasets.capture.stage_runner import Workspace
from utils.errors import CaptureError
from utils.images import read_image


@dataclass(frozen=True)
class PreparedSeries:
    """A folder that the stages up to `masks` have filled."""

    label: str  # its name in OUT/series, and before the names of its images where these are not unique
    root: Path
    source: Path  # what the user gave


def mask_report(series: PreparedSeries) -> Mapping[str, Any]:
    """What the stage `masks` reported of a series."""
    return (Workspace(series.root).record("masks") or {}).get("report", {})


def has_doubtful_masks(series: PreparedSeries) -> bool:
    """Whether the stage `masks` had doubts about the masks that it made."""
    report = mask_report(series)
    return (report.get("agreement") or 1.0) < GOOD_AGREEMENT or (report.get("told") or 1.0) < GOOD_TOLD


def require_masks(series: PreparedSeries) -> None:
    """Raises CaptureError where a series has no masks, with the reason."""
    if (series.root / MASK_FOLDER).is_dir() and any((series.root / MASK_FOLDER).iterdir()):
        return
    reason = mask_report(series).get("reason")
    raise CaptureError(
        f"{series.source}: series {series.label} has no masks{f': {reason}' if reason else ''}. Several series are "
        f"joined by the object alone, so each needs masks. Put the object on a table and photograph it from all sides, "
        f"or give masks of all series with --masks FOLDER."
    )


def masks_of(series: PreparedSeries, model: pycolmap.Reconstruction) -> dict[str, np.ndarray]:
    """The masks (H, W) uint8 of the images of a model that have one, by the names of the images."""
    names = [model.images[i].name for i in model.reg_image_ids()]
    return {name: read_image(path)[..., 0] for name, path in masks_in(series.root / MASK_FOLDER, names).items()}
