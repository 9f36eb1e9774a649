"""Runs stages that pass files on to each other: each stage once, until its settings or its inputs change.

A stage fills `prepare/<stage>.working`. When it is done, its record is written into that folder and the folder is
renamed to `prepare/<stage>.ready` in one step; from then on the stage counts as finished. Then its results move to
where they belong, and its record moves last, to `prepare/<stage>.json`; the next start completes interrupted moves.
So a finished stage cannot be lost, and half a result never counts as a whole one."""

import errno
import hashlib
import json
import logging
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.errors import CaptureError, InputError
from utils.files import replace, replacing
from utils.platforms import lock
from utils.terminal.at_work import at_work

log = logging.getLogger(__name__)
_unfinished: list[Path] = []  # the folders that stages of this process are filling
_MIN_FREE = 2**20  # bytes; with less free, a full disk is the reason for whatever fails


@dataclass(frozen=True)
class Stage:
    """A step from files to files."""

    name: str
    outputs: tuple[str, ...]  # files and folders that it may write, relative to the root
    run: Callable[[Path], Mapping[str, Any]]  # fills a folder with (some of) `outputs`; returns what to report
    settings: Mapping[str, Any]  # what its result depends on, as JSON
    sources: tuple[Path, ...] = ()  # files and folders that it reads
    version: int = 1  # raise it when the code gives other results


class Workspace:
    """The folder that the stages share."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._state = root / "prepare"

    @contextmanager
    def open(self) -> Iterator[None]:
        """Creates the folder, locks it against other processes, and completes interrupted moves. Raises
        CaptureError."""
        with _explain_disk_errors(self.root):
            self._state.mkdir(parents=True, exist_ok=True)
            file = (self._state / "lock").open("ab")
        with file:
            if not lock(file):
                raise CaptureError(
                    f"{self.root}: another process is preparing this folder. Wait for it, or give another OUT."
                )
            with _explain_disk_errors(self.root):
                for ready in sorted(self._state.glob("*.ready")):
                    if (ready / "record.json").exists():
                        self._install(ready)
                for kind in ("working", "ready", "old"):
                    for leftover in self._state.glob(f"*.{kind}"):
                        shutil.rmtree(leftover)
            yield

    def record(self, name: str) -> dict[str, Any] | None:
        """The record of a finished stage: fingerprint, run, outputs, seconds, report; None if an output is missing."""
        record = self._read_record(name)
        return record if record and all((self.root / output).exists() for output in record["outputs"]) else None

    def written_by(self, name: str) -> list[str]:
        """The outputs that a stage wrote when it last ran, whether or not they are still there."""
        return (self._read_record(name) or {"outputs": []})["outputs"]

    def wrote(self, output: str) -> bool:
        """Whether some stage wrote this output when it last ran."""
        return any(output in self.written_by(path.stem) for path in self._records())

    def _records(self) -> list[Path]:
        return [path for path in self._state.glob("*.json") if path.name != "report.json"]

    def _read_record(self, name: str) -> dict[str, Any] | None:
        try:
            return json.loads((self._state / f"{name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def _check_outputs(self, stage: Stage) -> None:
        """Raises CaptureError where the stage would replace a file that no stage wrote."""
        for output in stage.outputs:
            if not self.wrote(output) and (self.root / output).exists():
                raise CaptureError(
                    f"{self.root / output}: exists already, and prepare.py did not write it. Move it away, or give "
                    f"another OUT."
                )

    def run(self, stage: Stage, fingerprint: str) -> dict[str, Any]:
        """Runs a stage and replaces its older results; returns its record."""
        self._check_outputs(stage)
        working = self._state / f"{stage.name}.working"
        started = time.perf_counter()
        _unfinished.append(working)
        with _explain_disk_errors(self.root):
            working.mkdir()
            report = dict(stage.run(working))
            record = {
                "stage": stage.name,
                "fingerprint": fingerprint,
                "run": uuid.uuid4().hex,  # tells later stages that this one ran again
                "outputs": [output for output in stage.outputs if (working / output).exists()],
                "seconds": round(time.perf_counter() - started, 2),
                "report": report,
            }
            (working / "record.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
            replace(working, ready := working.with_suffix(".ready"))
            _unfinished.remove(working)
            self._install(ready)
        return record

    def write_report(self, names: Sequence[str]) -> None:
        """Writes prepare/report.json: the report of each finished stage."""
        records = {name: record for name in names if (record := self.record(name))}
        with _explain_disk_errors(self.root), replacing(self._state / "report.json") as file:
            content = {name: record["report"] | {"seconds": record["seconds"]} for name, record in records.items()}
            file.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def _install(self, ready: Path) -> None:
        """Moves results to where they belong; may be interrupted anywhere and repeated."""
        record = json.loads((ready / "record.json").read_text(encoding="utf-8"))
        before = self.written_by(record["stage"])
        old = ready.with_suffix(".old")
        old.mkdir(exist_ok=True)
        for output in {*record["outputs"], *before}:
            new, target = ready / output, self.root / output
            if target.exists() and (new.exists() or output not in record["outputs"]):
                replace(target, old / uuid.uuid4().hex)
            if new.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                replace(new, target)
        for other in self._records():  # of stages whose results are replaced: these have to run again
            if other.stem != record["stage"] and {*self.written_by(other.stem)} & {*record["outputs"]}:
                other.unlink()
        replace(ready / "record.json", self._state / f"{record['stage']}.json")
        shutil.rmtree(ready)
        shutil.rmtree(old)


def run_stages(
    root: Path,
    stages: Sequence[Stage],
    only: str | None = None,
    start: str | None = None,
    after: Callable[[str], None] | None = None,
) -> None:
    """Brings the results of all stages in `root` up to date, in their order.

    only: runs this stage alone, whether or not anything changed; start: runs this stage, and the later ones that it
    changes. Both take the results of earlier stages as they are on disk. after: is called with the name of each stage
    that is up to date, and may raise an error that stops the rest. Raises CaptureError."""
    names = [stage.name for stage in stages]
    first = names.index(only or start) if only or start else 0
    workspace = Workspace(root)
    with workspace.open():
        runs: list[str] = []
        for number, stage in enumerate(stages):
            record = workspace.record(stage.name)
            title = f"[{number + 1}/{len(stages)}] {stage.name}"
            if number < first:
                if record is None:
                    raise CaptureError(
                        f"{root}: {only or start} needs the results of {stage.name}, which are missing. "
                        f"Run --from {stage.name}, or everything."
                    )
            else:
                fingerprint = _fingerprint(root, stage, runs)
                forced = number == first and bool(only or start)
                if record is not None and record["fingerprint"] == fingerprint and not forced:
                    log.info("%s: unchanged, skipped", title)
                else:
                    log.info("%s ...", title)
                    with at_work(f"  {stage.name}", named=True):
                        record = workspace.run(stage, fingerprint)
                    workspace.write_report(names)
                    log.info("%s: done in %.1f s", title, record["seconds"])
                if after is not None:
                    after(stage.name)
            if stage.name == only:
                return
            runs.append(record["run"])


def remove_unfinished() -> None:
    """Removes what stages of this process have written that did not finish; earlier results stay. May run in any thread
    and at any time: a folder is first taken away from the stage that fills it, in one step."""
    while _unfinished:
        working = _unfinished.pop()
        try:
            replace(working, old := working.with_name(f"{uuid.uuid4().hex}.old"))
        except OSError:  # it is finished, or was not begun
            continue
        shutil.rmtree(old, ignore_errors=True)


def _fingerprint(root: Path, stage: Stage, runs: Sequence[str]) -> str:
    """A hash of the settings, the sources, the version of the code and the runs of the stages before."""
    content = [stage.version, dict(stage.settings), list(runs), [_file_states(path, root) for path in stage.sources]]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _file_states(path: Path, root: Path) -> list[Any]:
    """Names, sizes and times of a file, or of the files of a folder; no times within `root`, which a user may copy."""
    files = sorted(item for item in path.iterdir() if item.is_file()) if path.is_dir() else [path]
    states = [(file, file.stat()) for file in files if file.exists()]
    if path.is_relative_to(root):
        return [str(path.relative_to(root)), [[file.name, state.st_size] for file, state in states]]
    return [str(path.resolve()), [[file.name, state.st_size, state.st_mtime_ns] for file, state in states]]


@contextmanager
def _explain_disk_errors(root: Path) -> Iterator[None]:
    """Turns errors of the disk into a CaptureError that says what to do."""
    try:
        yield
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # libraries in C++ report a full disk as one of the others
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise CaptureError(
                f"{error.filename or root}: {error.strerror}. Give an OUT that you may write to, and an INPUT that you "
                f"may read."
            ) from error
        if number in (errno.ENOSPC, errno.EDQUOT) or _free_bytes(root) < _MIN_FREE:
            raise CaptureError(
                f"{root}: the disk is full. Free some space and start again: prepare.py keeps the finished stages."
            ) from error
        if number in (errno.ENOTDIR, errno.EEXIST):
            raise CaptureError(f"{root}: expected a folder, or nothing yet, got a file. Give another OUT.") from error
        if number == errno.ENOENT and not root.is_dir():
            raise CaptureError(f"{root}: no folder can be made there. Give another OUT.") from error
        raise


def _free_bytes(root: Path) -> int:
    return shutil.disk_usage(root).free if root.is_dir() else _MIN_FREE
