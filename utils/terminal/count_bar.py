"""Shows the progress of a long stage: a bar on a terminal, a line now and then in a log."""

import logging
import sys
import time

from utils.terminal.at_work import heard

log = logging.getLogger(__name__)
_EVERY = 10.0  # seconds between two lines in a log
_WIDTH = 30


class CountBar:
    """Counts up to `total`; None when that is not known."""

    def __init__(self, what: str, total: int | None) -> None:
        self._what, self._total = what, total
        self._tty = sys.stderr.isatty()
        self._said = time.monotonic()
        self._bar = False

    def __call__(self, count: int) -> None:
        """Says that `count` are done."""
        now = time.monotonic()
        last = count == self._total
        if not last and now - self._said < (0.1 if self._tty else _EVERY):
            return
        if self._tty:
            self._draw(count)
        elif not last:
            log.info("  %s: %d%s", self._what, count, f" of {self._total}" if self._total else "")
        self._said = now
        if last:
            self.close()

    def _draw(self, count: int) -> None:
        filled = round(_WIDTH * count / self._total) if self._total else 0
        bar = f"[{'#' * filled:<{_WIDTH}}] {count}/{self._total}" if self._total else str(count)
        sys.stderr.write(f"\r  {self._what} {bar} ")
        sys.stderr.flush()
        heard()
        self._bar = True

    def close(self) -> None:
        """Ends the line of a bar."""
        if self._bar:
            sys.stderr.write("\n")
        self._bar = False
