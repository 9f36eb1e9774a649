"""Ends a program soon after Ctrl-C or SIGTERM, even while a library works for minutes and lets no Python code run.

Libraries of C++, as COLMAP's, print a stack on SIGTERM; while a `PromptEnd` is entered they do not get to see it."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

from utils.interrupts import SIGNALS, Stopped, exit_code_of

GRACE = 3.0  # seconds for the program to end by itself


class PromptEnd:
    """While entered, the first Ctrl-C or SIGTERM says `message` on stderr, where then nothing more is said, and raises
    `Stopped` in the main thread. Outside of it nothing changes.

    Where that has not ended the program after `grace` seconds, another thread calls `clean` and exits with the code of
    the signal. Later signals are not heard."""

    def __init__(self, message: str, clean: Callable[[], None], grace: float = GRACE) -> None:
        self._message, self._clean, self._grace = message, clean, grace
        self._done, self._struck = threading.Event(), False
        self._stderr: int | None = None  # a copy of it, once nothing more is said there
        self._earlier: dict[int, object] = {}

    def __enter__(self) -> "PromptEnd":
        if threading.current_thread() is not threading.main_thread():
            return self
        self._reader, self._writer = socket.socketpair()  # Windows cannot wake up through a pipe
        self._writer.setblocking(False)
        self._earlier_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._earlier = {signum: signal.signal(signum, self._strike) for signum in SIGNALS}
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._earlier:
            return
        self._done.set()
        for signum, handler in self._earlier.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._earlier_fd)
        self._writer.close()
        self._thread.join()
        self._reader.close()
        if self._stderr is not None:
            os.dup2(self._stderr, 2)
            os.close(self._stderr)

    def _strike(self, signum: int, frame: FrameType | None) -> None:
        if not self._struck:
            self._struck = True
            self._say()
            raise Stopped(signum)

    def _say(self) -> None:
        """Says the message, once, and nothing after it: libraries that are interrupted complain."""
        if self._stderr is None:
            self._stderr = os.dup(2)
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 2)
            os.close(silent)
            os.write(self._stderr, f"\n{self._message}\n".encode())

    def _watch(self) -> None:
        """Waits for a signal, then for the end; runs whenever the library that works lets other threads run."""
        while (received := self._reader.recv(1)) and received[0] not in SIGNALS:
            continue
        if received and not self._done.wait(self._grace):
            self._say()
            self._clean()
            os._exit(exit_code_of(received[0]))
