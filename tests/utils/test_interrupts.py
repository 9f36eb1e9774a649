"""Signals end the process at once, or after the step while they are kept."""

import os
import signal
import sys
import threading

import pytest

from utils.interrupts import Interrupts, Stopped

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can handle")


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_raises_where_it_strikes(signum: int, code: int) -> None:
    before = signal.getsignal(signum)
    with pytest.raises(Stopped) as stop, Interrupts():
        send(signum)
    assert stop.value.exit_code == code
    assert signal.getsignal(signum) == before


def test_a_kept_signal_waits_and_a_second_one_does_not() -> None:
    with Interrupts() as interrupts:
        interrupts.keep()
        send(signal.SIGTERM)
        assert interrupts.received == signal.SIGTERM
        with pytest.raises(Stopped):
            send(signal.SIGINT)
        with pytest.raises(Stopped) as stop:
            interrupts.release()
        assert stop.value.signum == signal.SIGTERM


def test_handlers_of_others_are_replaced() -> None:
    with Interrupts() as interrupts:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        interrupts.listen()
        with pytest.raises(Stopped):
            send(signal.SIGTERM)


def test_another_thread_changes_nothing() -> None:
    found = []

    def work() -> None:
        with Interrupts() as interrupts:
            interrupts.keep()
            found.append(signal.getsignal(signal.SIGTERM))
            interrupts.release()

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]
