"""Work that begins before it is asked for, in a thread of its own, and says nothing before that."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

_own = threading.local()  # event: of the `Ahead` whose steps this thread takes


class _Left(BaseException):
    """Nobody asks any more. Not an Exception, so that no reader of damaged files takes it for one."""


def go_on() -> None:
    """Ends a step that nobody will ask for, whose thread calls this; nothing happens in other threads."""
    event = getattr(_own, "event", None)
    if event is not None and event.is_set():
        raise _Left


class Ahead:
    """Runs steps one after the other as soon as it is entered, while the thread that entered it goes on.

    What other threads log meanwhile, those that a step starts among them, is logged when somebody asks for the result
    of the step, and what it raises is raised then. After an error no further step is taken. Left before the end, it
    ends where a step next calls `go_on`, and nothing of it is said. Until the last step is done, only the thread that
    entered it may log what is not the steps'."""

    def __init__(self, *steps: Callable[[], Any]) -> None:
        self._steps, self._done = steps, [threading.Event() for _ in steps]
        self._said: list[list[tuple[logging.Handler, logging.LogRecord]]] = [[] for _ in steps]
        self._results: list[Any] = [None for _ in steps]
        self._error: BaseException | None = None
        self._now = 0  # the step that is being taken
        self._is_left = threading.Event()

    def __enter__(self) -> "Ahead":
        self._asking = threading.current_thread()
        self._filters = [(handler, self._holder(handler)) for handler in logging.getLogger().handlers]
        for handler, holds in self._filters:
            handler.addFilter(holds)
        self._thread = threading.Thread(target=self._work, name="ahead", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_left.set()
        self._thread.join()  # a process that ended while it is in C++ would abort
        for handler, holds in self._filters:
            handler.removeFilter(holds)

    def refuse_early(self, seconds: float) -> None:
        """Raises what the first step raises within so many seconds; later is for `result`."""
        if self._done[0].wait(seconds) and self._error is not None:
            self.result(0)

    def is_done(self, step: int) -> bool:
        """Whether `result` need not wait."""
        return self._done[step].is_set()

    def result(self, step: int) -> Any:
        """What a step returned, once it is done. Raises what it, or one before it, raised."""
        self._done[step].wait()
        said, self._said[step] = self._said[step], []
        for handler, record in said:
            handler.handle(record)  # of the thread that the filters let through
        if self._error is not None and step >= self._now:
            raise self._error
        return self._results[step]

    def _work(self) -> None:
        _own.event = self._is_left
        try:
            for number, step in enumerate(self._steps):
                go_on()
                self._now = number
                self._results[number] = step()
                self._done[number].set()
            self._now = len(self._steps)
        except BaseException as error:
            self._error = error
        finally:
            for done in self._done:
                done.set()

    def _holder(self, handler: logging.Handler) -> Callable[[logging.LogRecord], bool]:
        def passes(record: logging.LogRecord) -> bool:
            if threading.current_thread() is self._asking or self._now >= len(self._steps):
                return True
            self._said[self._now].append((handler, record))
            return False

        return passes
