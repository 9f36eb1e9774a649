"""Several series of one object: each is prepared by itself, in OUT/series, then all are joined in OUT."""

import logging
import string
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from datasets.capture.masks.mask_files import MASK_FOLDER
from datasets.capture.options import CaptureOptions
from datasets.capture.pipeline import STAGES, layout_stage, make_stages, require_source
from datasets.capture.series.stage import OUTPUTS, PreparedSeries, join_series
from datasets.capture.stage_runner import Stage, Workspace, run_stages
from utils.errors import ConfigError

log = logging.getLogger(__name__)
JOIN = "join"
SERIES_FOLDER = "series"
SERIES_STAGES = tuple(stage for stage in STAGES if stage != "dataset")


def prepare_series(
    options: CaptureOptions, sources: Sequence[Path], only: str | None = None, start: str | None = None
) -> None:
    """Brings the folder of a joined dataset, `options.root`, up to date, from two or more series.

    sources: videos, or folders of photos; only, start: see `run_stages`; a stage of single series runs for each of
    them, `join` and `dataset` for all together. Raises InputError."""
    _check(options, sources)
    for source in sources:
        require_source(source)
    labels = string.ascii_lowercase[: len(sources)]
    series = [
        PreparedSeries(label, options.root / SERIES_FOLDER / label, source)
        for label, source in zip(labels, sources, strict=True)
    ]
    joined_only = only in (JOIN, "dataset") or start in (JOIN, "dataset")
    for number, one in enumerate(series):
        log.info("series %s: %s", one.label, one.source)
        if not joined_only:
            own = _options_of(options, one, is_first=number == 0)
            run_stages(one.root, make_stages(own)[: len(SERIES_STAGES)], only, start)
    if only in SERIES_STAGES:
        return
    log.info("all series")
    run_stages(
        options.root, (join_stage(series), layout_stage(options)), only, start if start not in SERIES_STAGES else None
    )


def join_stage(series: Sequence[PreparedSeries]) -> Stage:
    """The stage that joins prepared series; it runs again when one of them did."""
    runs = {
        one.label: [(Workspace(one.root).record(stage) or {}).get("run") for stage in SERIES_STAGES] for one in series
    }
    return Stage(
        JOIN, OUTPUTS, partial(join_series, series), {"runs": runs}, tuple(one.root / MASK_FOLDER for one in series)
    )


def _options_of(options: CaptureOptions, series: PreparedSeries, is_first: bool) -> CaptureOptions:
    """The options of one series. All take the scale of the first in the end, and a folder of masks may have a folder
    for each series, with its name."""
    masks = options.masks
    if options.mask_folder is not None and (own := options.mask_folder / series.source.stem).is_dir():
        masks = str(own)
    scale = options.scale if is_first else None
    return replace(
        options, source=series.source, root=series.root, scale=scale, masks=masks, neus=False, transforms=False
    )


def _check(options: CaptureOptions, sources: Sequence[Path]) -> None:
    """Raises ConfigError for options that make no sense for several series."""
    if len(sources) > len(string.ascii_lowercase):
        raise ConfigError(f"expected at most {len(string.ascii_lowercase)} series, got {len(sources)}.")
    if len({source.resolve() for source in sources}) < len(sources):
        raise ConfigError("expected different series, got the same video or folder twice. Name each of them once.")
    if options.keep_scene:
        raise ConfigError("--keep-scene: several series are joined by the object alone, so each needs masks. Leave it.")
    if options.roi is not None:
        raise ConfigError(
            f"--roi: each series has its own coordinates. Save the points of the object as sparse_points_interest.ply "
            f"in {options.root / SERIES_FOLDER}/a, b, ... instead, see docs/capture.md."
        )
