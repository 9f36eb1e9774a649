"""Writes files whole or not at all, so that a crash or a full disk never leaves half a result behind; orders their
names."""

import errno
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.errors import OutputError
from utils.platforms import on_windows

log = logging.getLogger(__name__)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path`, with the same suffix, that takes its place when the block ends without an error.

    Makes the folder. After an error the temporary file is removed and an older file at `path` is as it was."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def require_place(folder: Path, named: str) -> None:
    """Raises OutputError where nothing can be written into a folder, or the folder not be made; nothing is left there.

    named: what the message begins with, such as a flag and its value."""
    there = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), folder)
    if there.is_file():
        where = "" if named.endswith(str(there)) else f"{there} "
        raise OutputError(f"{named}: {where}is a file, and results need a folder. Give another.")
    try:
        for part in folder.relative_to(there).parts:
            (there / part).exists()  # which fails for a name that is too long
        tempfile.TemporaryDirectory(prefix=".", dir=there).cleanup()
    except OSError as error:
        hint = remedy(error) or "Give another folder."
        raise OutputError(f"{named}: nothing can be written into {there} ({error.strerror}). {hint}") from error


def replace(source: Path | str, target: Path | str) -> None:
    """Moves a file or folder to where another may lie, in one step.

    On Windows that fails while another program, such as a virus scanner, has either open: tries again for a second."""
    for seconds in (0.01, 0.04, 0.15, 0.8) if on_windows() else ():
        try:
            os.replace(source, target)
        except PermissionError:
            time.sleep(seconds)
        else:
            return
    os.replace(source, target)


def flush_to_disk(path: Path) -> None:
    """Waits until a file, or the names in a folder, would survive a loss of power; Windows can say so of no folder."""
    is_folder = path.is_dir()
    if is_folder and on_windows():
        return
    handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)  # Windows flushes only what may be written
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remedy(error: OSError) -> str | None:
    """What to do about an error of writing; None where no full disk, closed folder or wrong path is behind it."""
    if error.errno in _FULL:
        return "The disk is full, or a quota is reached: free some space."
    if error.errno in _CLOSED:
        held = ", or close the program that has the file open" if on_windows() else ""
        return f"Give a folder that you may write to{held}."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return "A file stands where a folder is needed: give another folder."
    if error.errno == errno.ENAMETOOLONG:
        return "Give a shorter name."
    if error.errno == errno.EISDIR:
        return "A folder of that name is there: give the name of a file."
    if (
        error.errno == errno.ENOENT
        and isinstance(error.filename, str | Path)
        and not Path(error.filename).parent.is_dir()
    ):
        return "No folder can be made there: give another one."
    return None


def as_input(error: OSError) -> OutputError | None:
    """An error of writing, or of a name that is too long, as one line with what to do; None for others."""
    hint = remedy(error)
    return None if hint is None else OutputError(f"{error.filename2 or error.filename}: {error.strerror}. {hint}")


class BestEffortWrites:
    """Lets work go on when a minor file cannot be written; warns once for each kind of file."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        """Catches the errors of a full disk or a closed folder in the block, no others; what: the kind of file."""
        try:
            yield
        except OSError as error:
            hint = remedy(error)
            if hint is None:
                raise
            if what not in self._said:
                log.warning("%s cannot be written (%s), and the work goes on without. %s", what, error.strerror, hint)
            self._said.add(what)


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Sorting key that puts `2.png` before `10.png`."""
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.findall(r"\d+|\D+", name)]
