"""Ctrl-C and SIGTERM: they end the process where they strike, or are kept for a good moment while a training runs."""

import logging
import signal
import threading
from types import FrameType, TracebackType

log = logging.getLogger(__name__)
_BREAK = getattr(signal, "SIGBREAK", None)  # Ctrl-Break: what Windows can send in place of SIGTERM
SIGNALS = (signal.SIGINT, signal.SIGTERM, *(() if _BREAK is None else (_BREAK,)))


def exit_code_of(signum: int) -> int:
    """The exit code of a program that a signal ended: 130 after Ctrl-C, 143 after SIGTERM or Windows' Ctrl-Break."""
    return 128 + (signal.SIGTERM if signum == _BREAK else signum)


class Stopped(BaseException):
    """Somebody wants the process to end. Not an Exception, so that no reader of damaged files takes it for one."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM or Ctrl-Break, as shells have it."""
        return exit_code_of(self.signum)


class Interrupts:
    """While entered, Ctrl-C and SIGTERM raise `Stopped`; once `keep` was called the first of them is only noted.

    Outside of the main thread, which alone may listen to signals, nothing changes."""

    def __init__(self) -> None:
        self.received: int | None = None  # the signal that was noted
        self._keeps = False
        self._earlier: dict[int, object] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._earlier = {signum: signal.getsignal(signum) for signum in SIGNALS}
            self.listen()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for signum, handler in self._earlier.items():
            signal.signal(signum, handler)

    def listen(self) -> None:
        """Listens, once more where need be: COLMAP, when it is imported, and Lightning put handlers of their own in
        front."""
        for signum in self._earlier:
            signal.signal(signum, self._strike)

    def keep(self) -> None:
        """From now on the first signal is noted in `received`, for somebody who looks there after each step."""
        self._keeps = True
        self.listen()

    def release(self) -> None:
        """Signals raise again; one that was noted raises now."""
        self._keeps = False
        if self.received is not None:
            raise Stopped(self.received)

    def _strike(self, signum: int, frame: FrameType | None) -> None:
        if not self._keeps or self.received is not None:
            raise Stopped(signum)
        self.received = signum
        log.info("%s: saving after this step; once more ends it at once", signal.Signals(signum).name)
