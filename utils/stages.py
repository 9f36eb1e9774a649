"""Where the time goes from the command on: to the first training step, and from the last one to the end."""

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
    """The seconds that each stage of a run took, in their order; they begin with the process."""

    def __init__(self, now: Callable[[], float] = seconds_since_start) -> None:
        self.seconds: dict[str, float] = {}
        self._now, self._last = now, 0.0

    def end(self, name: str) -> None:
        """Ends a stage; nothing happens if it has ended before, as in a second attempt."""
        if name not in self.seconds:
            now = self._now()
            self.seconds[name], self._last = round(now - self._last, 3), now

    def report(self, after: str = "", until: str = "") -> dict[str, float]:
        """The seconds of each stage behind `after` and up to `until`, of all without them or where they have not ended,
        and `total`, from the start of the process to the end of the last of these."""
        names = list(self.seconds)
        end = names.index(until) + 1 if until in names else len(names)
        begin = names.index(after) + 1 if after in names else 0
        chosen = {name: self.seconds[name] for name in names[begin:end]}
        return {**chosen, "total": round(sum(self.seconds[name] for name in names[:end]), 3)}
