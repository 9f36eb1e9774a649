"""A run whose data were moved: dataset.root_dir=NEW takes along the paths that were typed below the former folder."""

import json
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from systems.configs import read_sources
from utils.config.compose import resolve
from utils.config.difference import flatten
from utils.config.sources import plain
from utils.errors import ConfigError
from utils.terminal.typed_paths import typed_path

log = logging.getLogger(__name__)
_ROOT = "dataset.root_dir"


def with_moved_paths(paths: Sequence[str | Path], overrides: Sequence[str]) -> list[str]:
    """The overrides, and before them one for each path of a run's config that moves with dataset.root_dir.

    paths: the YAML files of the run. Such a path was typed as text that begins with the former folder. It has the same
    tail below the new one, unless it is there no more, but still in the former. Says which they are."""
    given = {item.partition("=")[0] for item in overrides}
    if _ROOT not in given:
        return list(overrides)
    try:
        sources = read_sources(paths, [])
        old, new = (resolve(found)["dataset"]["root_dir"] for found in (sources, read_sources(paths, overrides)))
    except (ConfigError, LookupError, TypeError):  # told when the experiment is read
        return list(overrides)
    if not (isinstance(old, str) and isinstance(new, str)):
        return list(overrides)
    found = {key: value for source in sources for key, value in flatten(plain(source.tree)).items()}
    moved = {key: _moved(value, old, new) for key, value in found.items() if key != _ROOT and key not in given}
    items = [f"{key}={_text(value)}" for key, value in moved.items() if value != found[key]]
    if items:
        log.info("moved with %s: %s", _ROOT, ", ".join(items))
    return [*items, *overrides]


def _moved(value: Any, old: str, new: str) -> Any:
    """A text, or each text of a list, with its tail below `new` if it lies below `old`; anything else as it is."""
    if isinstance(value, list):
        return [_moved(item, old, new) for item in value]
    if not isinstance(value, str) or "${" in value:
        return value
    parts, former = _parts(value), _parts(old)
    if not former or parts[: len(former)] != former or len(parts) == len(former):
        return value
    place = os.path.join(new, *parts[len(former) :])
    below = [typed_path(root) / value for root in (old, new)]  # of keys that are relative to the folder
    if any(path.exists() for path in below if str(path) != str(typed_path(value))):
        return value
    return value if typed_path(value).exists() and not typed_path(place).exists() else place


def _parts(path: str) -> tuple[str, ...]:
    """The parts of a path, of Windows too, without `.` and `..`; empty for the current folder."""
    if re.match(r"[A-Za-z]:[\\/]|\\\\", path):
        return PureWindowsPath(path).parts
    parts = Path(os.path.normpath(typed_path(path))).parts
    return parts if parts != (".",) else ()


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
