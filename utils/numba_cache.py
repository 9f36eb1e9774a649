"""Keeps what Numba compiled in the user's cache folder, by the content of the sources: another checkout finds it."""

import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial, wraps
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import CompileResultCacheImpl
from numba.misc.appdirs import AppDirs

from utils.registry import ROOT

_KEPT_DAYS = 90  # that nobody asked for a version of a file


def cache_folder() -> Path:
    """Where it is kept: in NUMBA_CACHE_DIR or, where that is not set, in the user's cache folder."""
    if numba.config.CACHE_DIR:
        return Path(numba.config.CACHE_DIR) / "photosurf"
    return Path(AppDirs(appname="photosurf", appauthor=False).user_cache_dir) / "numba"


@cache
def _stamp(path: str) -> str:
    """Differs with the content of a file, its place in the house, and Numba's version."""
    where = Path(path).relative_to(ROOT).as_posix()
    content = Path(path).read_bytes().replace(b"\r\n", b"\n")
    return hashlib.sha256(f"{numba.__version__} {where} ".encode() + content).hexdigest()[:20]


class ByContent:
    """A locator, as Numba calls it: where the compiled functions of a file of this house lie, and what they were
    compiled from. Numba's own places are beside the file, or named by the path of its folder."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._line = function.__code__.co_firstlineno
        self._stamp = _stamp(str(Path(file).resolve()))
        self._folder = cache_folder() / f"{Path(file).stem}-{self._stamp}"

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> "ByContent | None":
        """None where the file is not of this house or the folder cannot be written: Numba then has its own place."""
        if not Path(file).is_file() or not Path(file).resolve().is_relative_to(ROOT):
            return None
        found = cls(function, file)
        try:
            found.ensure_cache_path()
        except OSError:
            return None
        return found

    def get_cache_path(self) -> str:
        """The folder of the compiled functions."""
        return str(self._folder)

    def get_source_stamp(self) -> str:
        """The content of the file, as a hash."""
        return self._stamp

    def get_disambiguator(self) -> str:
        """Tells functions of one name apart."""
        return str(self._line)

    def ensure_cache_path(self) -> None:
        """Makes the folder, and removes those that were long in no use. Raises OSError where it cannot be written."""
        is_new = not self._folder.is_dir()
        self._folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=self._folder).close()
        os.utime(self._folder)
        if is_new:
            _prune(self._folder.parent)


def _prune(folder: Path) -> None:
    oldest = time.time() - _KEPT_DAYS * 86_400
    for place in folder.iterdir():
        with suppress(OSError):  # another process may do the same
            if place.stat().st_mtime < oldest:
                shutil.rmtree(place)


CompileResultCacheImpl._locator_classes = [ByContent, *CompileResultCacheImpl._locator_classes]

# Compiled at its first call, then read from disk. A change in another file is not seen: all that a function calls lies
# in its own.
cached_njit = partial(numba.njit, cache=True)

# Numba's fallback threading layer aborts the process when two threads, such as a training and a viewer, launch at once.
_launching = threading.Lock()


def cached_parallel(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """As `cached_njit(parallel=True)`; one such function runs at a time, on all cores."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        compiled = cached_njit(parallel=True, error_model="numpy", **options)(function)

        @wraps(function)
        def launch(*args: Any) -> Any:
            with _launching:
                return compiled(*args)

        return launch

    return decorate
