"""Where the time goes from the command to the first training step."""

import os
import time
from collections.abc import Callable
from pathlib import Path

_IMPORTED = time.perf_counter()


def seconds_since_start() -> float:
    """Seconds since this process was started, the interpreter and all imports included.

    Where the system does not tell (no /proc), seconds since this file was imported."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # starttime, counted from boot
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, AttributeError, ValueError, IndexError):
        return time.perf_counter() - _IMPORTED


class Stages:
    """The seconds that each stage of a start took, in their order; they begin with the process."""

    def __init__(self, now: Callable[[], float] = seconds_since_start) -> None:
        self.seconds: dict[str, float] = {}
        self._now, self._last = now, 0.0

    def end(self, name: str) -> None:
        """Ends a stage; nothing happens if it has ended before, as in a second attempt."""
        if name not in self.seconds:
            now = self._now()
            self.seconds[name], self._last = round(now - self._last, 3), now

    def report(self) -> dict[str, float]:
        """The seconds of each stage, and `total`, of all of them."""
        return {**self.seconds, "total": round(self._last, 3)}
