"""Prepares a capture of one series or several: each by itself, in OUT/series, then all are joined in OUT."""

import logging
import shutil
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from datasets.capture.frames.frame_list import read_frame_list
from datasets.capture.frames.photo_files import list_photos, tell_left_out
from datasets.capture.given import check_options, require_source
from datasets.capture.masks.mask_files import MASK_FOLDER
from datasets.capture.masks.stage import has_own_masks
from datasets.capture.options import JOIN, SERIES_STAGES, CaptureOptions
from datasets.capture.other_cameras import notice_cameras
from datasets.capture.pipeline import layout_stage, make_stages, prepare
from datasets.capture.poses.likely_split import Split, UntruePosesError
from datasets.capture.series.prepared import PreparedSeries
from datasets.capture.series.recognition import (
    SERIES_FILE,
    Recognition,
    read_recognition,
    recognise_series,
    write_recognition,
)
from datasets.capture.series.signs import MovedObjectError, require_one_scene
from datasets.capture.series.splits import Series, series_folders, split_at, split_by_names
from datasets.capture.series.stage import OUTPUTS, join_series
from datasets.capture.setup.record import is_turntable
from datasets.capture.stage_runner import Stage, Workspace, run_stages
from utils.errors import CaptureError, ConfigError

log = logging.getLogger(__name__)
SERIES_FOLDER = "series"
_UP_TO_SETUP = SERIES_STAGES.index("setup") + 1


@dataclass(frozen=True)
class Origin:
    """Where a series comes from."""

    source: Path  # a video, or a folder of photos
    photos: tuple[str, ...] | None = None  # those of the folder; None: all


def prepare_capture(
    options: CaptureOptions, sources: Sequence[Path], only: str | None = None, start: str | None = None
) -> None:
    """Brings `options.root` up to date, from one series or several; only, start: see `run_stages`.

    One folder may hold several series: as folders, or one after the other, which is recognised. Raises InputError."""
    for source in sources:
        require_source(source)
        notice_cameras(source)
    folders = series_folders(sources[0], options.root) if len(sources) == 1 else []
    check_options(options, sources, folders)
    if options.masks != "auto" and has_own_masks(options.root):
        raise ConfigError(
            f"--masks {options.masks}: has no effect, the masks of {options.root / MASK_FOLDER}, which prepare.py did "
            f"not write, are used. Leave --masks out, or move that folder away."
        )
    for folder in (path for path in (*sources, *folders) if path.is_dir()):
        tell_left_out(folder, [*folders, *([options.mask_folder] if options.mask_folder else []), options.root])
    if len(sources) > 1:
        return prepare_series(options, [Origin(source) for source in sources], only, start)
    source = sources[0]
    if folders:
        log.info("%s: %d folders of photos, each of them a series of one object", source, len(folders))
        return prepare_series(options, [Origin(folder) for folder in folders], only, start)
    names = [] if options.is_video else [path.name for path in list_photos(source)]
    parts = _known_series(options, names)
    if parts is None and only is None and start is None:
        return _prepare_and_recognise(options, names)
    if parts is not None and len(parts) > 1:
        return prepare_series(options, [Origin(source, part) for part in parts], only, start)
    if JOIN in (only, start):
        raise ConfigError(f"the stage {JOIN} joins several series, but {source} is one. Give all of them.")
    return prepare(options, only, start)


def _known_series(options: CaptureOptions, names: Sequence[str]) -> Series | None:
    """The series of one folder, as --series or an earlier run says, or options that suit one series only; None where
    they are not known."""
    if options.series not in ("auto", "one") and not options.is_video:
        return split_at(names, options.series, options.source)
    for_one = options.keep_scene or options.roi is not None or options.setup == "turntable"
    if options.is_video or options.series == "one" or for_one or has_own_masks(options.root):
        return (tuple(names),)
    known = read_recognition(options.root, names)
    return known.series if known is not None and known.is_certain else None


def _prepare_and_recognise(options: CaptureOptions, names: Sequence[str]) -> None:
    """Prepares the photos of one folder: as several series where their names or their poses hint at that and the object
    was moved, else as one."""
    found, parts, hook = None, split_by_names(names), partial(require_one_scene, options.root)
    if len(parts) > 1:
        found = _recognise(options, parts)
    if found is None or len(found.series) == 1:
        try:
            return prepare(options, after=None if found is not None and found.is_certain else hook)
        except (UntruePosesError, MovedObjectError) as error:
            if found is None and error.split is not None:
                log.info("  %s", error)
                found = _recognise(options, _photos_of(options, error.split))
            if found is None or len(found.series) == 1:
                return _keep_whole(options, error, found)
    return prepare_series(options, [Origin(options.source, part) for part in found.series])


def _keep_whole(options: CaptureOptions, error: UntruePosesError | MovedObjectError, found: Recognition | None) -> None:
    """Goes on with photos that show signs of a move, but that are no series as far as is known: raises the error where
    they have no poses, else warns unless it is certain that nothing was moved."""
    reason = "" if found is None else f" As several series: {found.reason}"
    if isinstance(error, UntruePosesError):
        raise CaptureError(f"{error}{reason}") from error
    if found is None or not found.is_certain:
        log.warning("%s%s", error, reason)
    prepare(options)


def _photos_of(options: CaptureOptions, split: Split) -> Series:
    """The photos before and after the first frame of the second part."""
    frames, _ = read_frame_list(options.root)
    cut = [frame.name for frame in frames].index(split[1][0])
    photos = tuple(frame.source for frame in frames)
    return photos[:cut], photos[cut:]


def _recognise(options: CaptureOptions, parts: Series) -> Recognition:
    """Which parts are series, since the object was moved between them; logs one line that says so."""
    stage = Stage("series", (SERIES_FILE,), partial(_compare_parts, options, parts), {"parts": parts})
    log.info("%s: %s; is this one series, or was the object moved?", options.source, _told(parts))
    known = read_recognition(options.root, [name for part in parts for name in part])
    run_stages(options.root, (stage,), only=None if known is None or known.is_certain else stage.name)
    found = read_recognition(options.root, [name for part in parts for name in part])
    assert found is not None, "the stage writes the record of these photos"
    if len(found.series) > 1:
        log.info("%d series: %s: %s; --series one overrides this", len(found.series), _told(found.series), found.reason)
    else:
        log.info("one series: %s; --series overrides this", found.reason)
        if found.is_certain:
            shutil.rmtree(options.root / SERIES_FOLDER, ignore_errors=True)
    return found


def _told(parts: Series) -> str:
    return " and ".join(f"{part[0]} to {part[-1]}" for part in parts)


def _compare_parts(options: CaptureOptions, parts: Series, working: Path) -> dict[str, Any]:
    """Prepares the parts, each by itself, compares them, and writes series.json; returns the report.

    Parts that cannot be prepared by themselves, and those of a turntable, are one series."""
    prepared = _series(options, [Origin(options.source, part) for part in parts])
    whole = (tuple(name for part in parts for name in part),)
    try:
        for stages in (_UP_TO_SETUP, len(SERIES_STAGES)):
            for number, one in enumerate(prepared):
                own = _options_of(options, one, parts[number], is_first=number == 0)
                log.info("part %s: %s", one.label, _told((parts[number],)))
                run_stages(one.root, make_stages(own)[:stages])
            if any(is_turntable(one.root) for one in prepared):
                found = Recognition(whole, "the object turned before a still camera")
                break
        else:
            found = recognise_series(prepared, parts)
    except CaptureError as error:
        found = Recognition(whole, f"its parts cannot be prepared by themselves: {error}", is_certain=False)
    write_recognition(found, working)
    return {"series": [len(part) for part in found.series], "reason": found.reason}


def prepare_series(
    options: CaptureOptions, origins: Sequence[Origin], only: str | None = None, start: str | None = None
) -> None:
    """Brings the folder of a joined dataset, `options.root`, up to date, from two or more series.

    only, start: see `run_stages`; a stage of single series runs for each of them, `join` and `dataset` for all
    together. Raises InputError."""
    _check(options, origins)
    series = _series(options, origins)
    if only not in (JOIN, "dataset") and start not in (JOIN, "dataset"):
        for number, one in enumerate(series):
            own = _options_of(options, one, origins[number].photos, is_first=number == 0)
            log.info("series %s: %s%s", one.label, one.source, f", {_told((own.photos,))}" if own.photos else "")
            run_stages(one.root, make_stages(own)[: len(SERIES_STAGES)], only, start)
    if only in SERIES_STAGES:
        return
    log.info("all series")
    start = None if start in SERIES_STAGES else start
    run_stages(options.root, (join_stage(series), layout_stage(options)), only, start)


def _series(options: CaptureOptions, origins: Sequence[Origin]) -> list[PreparedSeries]:
    labels = string.ascii_lowercase[: len(origins)]
    return [
        PreparedSeries(label, options.root / SERIES_FOLDER / label, origin.source)
        for label, origin in zip(labels, origins, strict=True)
    ]


def join_stage(series: Sequence[PreparedSeries]) -> Stage:
    """The stage that joins prepared series; it runs again when one of them did."""
    runs = {
        one.label: [(Workspace(one.root).record(stage) or {}).get("run") for stage in SERIES_STAGES] for one in series
    }
    return Stage(
        JOIN, OUTPUTS, partial(join_series, series), {"runs": runs}, tuple(one.root / MASK_FOLDER for one in series)
    )


def _options_of(
    options: CaptureOptions, series: PreparedSeries, photos: tuple[str, ...] | None, is_first: bool
) -> CaptureOptions:
    """The options of one series. All take the scale of the first in the end, and a folder of masks may have a folder
    for each series, with its name."""
    masks = options.masks
    if options.mask_folder is not None and (own := options.mask_folder / series.source.stem).is_dir():
        masks = str(own)
    return replace(
        options, source=series.source, root=series.root, photos=photos, scale=options.scale if is_first else None,
        known_length=options.known_length if is_first else None, masks=masks,
        keep_scene=False, roi=None, neus=False, transforms=False,
    )  # fmt: skip


def _check(options: CaptureOptions, origins: Sequence[Origin]) -> None:
    """Raises ConfigError for options that make no sense for several series."""
    if len(origins) > len(string.ascii_lowercase):
        raise ConfigError(f"expected at most {len(string.ascii_lowercase)} series, got {len(origins)}.")
    if len({(origin.source.resolve(), origin.photos) for origin in origins}) < len(origins):
        raise ConfigError("expected different series, got the same video or folder twice. Name each of them once.")
    if options.keep_scene:
        raise ConfigError(
            "--keep-scene: several series are joined by the object alone, so each needs masks. Leave it out."
        )
    if options.roi is not None:
        raise ConfigError(
            f"--roi: each series has its own coordinates. Save the points of the object as sparse_points_interest.ply "
            f"in {options.root / SERIES_FOLDER}/a, b, ... instead, see docs/capture.md."
        )
