"""Says that a long stage is still at work, so that no minute passes in silence."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from utils.terminal.eta import format_duration

log = logging.getLogger(__name__)
FIRST_SECONDS, SILENT_SECONDS = 1.0, 10.0  # until a stage is named, and of silence until it is said to go on


class _Ear(logging.Handler):
    """Notes when something was last logged."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.last = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        """Notes the time."""
        self.last = time.monotonic()


_ears: list[_Ear] = []  # of the stages at work


def heard() -> None:
    """Called by what shows progress otherwise than by a log, such as a bar: nothing else need be said."""
    for ear in _ears:
        ear.last = time.monotonic()


@contextmanager
def at_work(what: str, named: bool = False) -> Iterator[None]:
    """Around a stage: a line after a second that names it, one whenever ten seconds passed without any, one at its end.

    A stage that ends within a second says nothing. named: whether others say when it begins and ends."""
    ear, begun, ended = _Ear(), time.monotonic(), threading.Event()
    is_named = [named]

    def talk() -> None:
        if not named and not ended.wait(FIRST_SECONDS):
            is_named[0] = True
            log.info("%s ...", what)
        while not ended.wait(max(ear.last + SILENT_SECONDS - time.monotonic(), 0.05)):
            if time.monotonic() - ear.last >= SILENT_SECONDS:
                log.info("%s: %s so far", what, format_duration(time.monotonic() - begun))
                ear.last = time.monotonic()  # also where such lines are not shown

    thread = threading.Thread(target=talk, name="at work", daemon=True)
    logging.getLogger().addHandler(ear)
    _ears.append(ear)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _ears.remove(ear)
        logging.getLogger().removeHandler(ear)
    if is_named[0] and not named:
        log.info("%s: done in %.1f s", what, time.monotonic() - begun)
