"""Where a run goes on after --resume, and what to type to go on after it was stopped; free of torch until it reads."""

import logging
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from systems.runs import RunFolder, checkpoints_in, find_checkpoint, run_of
from utils.errors import OutputError
from utils.files import remedy
from utils.interrupts import Stopped

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """What a run begins with: nothing, or the weights of a checkpoint."""

    checkpoint: Path | None = None
    step: int = 0  # that it is at
    run: RunFolder | None = None  # that goes on; None: a new one


def find_start(path: Path | None, trains: bool, weights_only: bool) -> Start:
    """The newest checkpoint of --resume that is whole; older ones are used where it is damaged, and that is said.

    A training whose run was ended before its first checkpoint begins anew, in the same folder. Raises
    CheckpointError."""
    from systems.runs.checkpoints import read_newest

    if path is None:
        return Start()
    found = checkpoints_in(path) if path.is_dir() else [find_checkpoint(path)]
    folder = RunFolder(path)
    if not found and trains and not weights_only and folder.parsed_config.is_file():
        return Start(run=folder)
    checkpoint, content = read_newest(found or [find_checkpoint(path)])
    if weights_only:
        return Start(checkpoint)
    return Start(checkpoint, content["global_step"], run_of(checkpoint))


def command_to_go_on(argv: Sequence[str], run: RunFolder, is_new: bool) -> str:
    """The command line that goes on with a run; a new one has its configs and overrides in its folder."""
    parts = [word.split("=", 1) if word.startswith("--") else [word] for word in argv]  # --gpu=1 is --gpu 1
    words = [word for part in parts for word in part if word != "--resume_weights_only"]
    if "--resume" in words and not is_new:
        words[words.index("--resume") + 1] = str(run.path)
        return f"python launch.py {shlex.join(words)}"
    kept = ["--resume", str(run.path), *(word for word in words if word in ("--train", "--verbose"))]
    for flag in ("--gpu", "--runs_dir"):
        kept += [flag, words[words.index(flag) + 1]] if flag in words else []
    return f"python launch.py {shlex.join(kept)}"


@contextmanager
def going_on_told(argv: Sequence[str], run: RunFolder, is_new: bool) -> Iterator[None]:
    """Says on stderr, where a signal or the disk ends the block, what is safe and how to go on."""
    try:
        yield
    except Stopped:
        newest = next((path.name for path in checkpoints_in(run.path)), None)
        if run.parsed_config.is_file():
            state = f"the newest checkpoint is {newest}" if newest else "there is no checkpoint yet, so it begins anew"
            log.warning("stopped; %s. Go on with: %s", state, command_to_go_on(argv, run, is_new))
        raise
    except OSError as error:
        hint = remedy(error)
        if hint is None:
            raise
        told = f" Then: {command_to_go_on(argv, run, is_new)}" if run.parsed_config.is_file() else ""
        raise OutputError(
            f"{error.filename or run.path}: cannot be written ({error.strerror}). {hint}{told}"
        ) from error
