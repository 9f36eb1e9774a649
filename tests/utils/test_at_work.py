"""A long stage is heard of, a short one is not; by a clock that tests move."""

import logging
import threading
from types import SimpleNamespace

import pytest
from patience import until

from utils.terminal import at_work as module
from utils.terminal.at_work import at_work, heard


class Clock:
    """Seconds that tests let pass, and how often the thread that speaks has looked at them."""

    def __init__(self) -> None:
        self.seconds, self.looks = 0.0, 0

    def __call__(self) -> float:
        self.looks += threading.current_thread().name == "at work"
        return self.seconds

    def is_looked_at(self, times: int = 4) -> None:
        """Waits until that thread has looked so many times more."""
        least = self.looks + times
        until(lambda: self.looks >= least)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Clock:
    found = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=found))
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.1)
    caplog.set_level(logging.INFO)
    return found


def test_a_short_stage_says_nothing(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 3600.0)
    with at_work("mesh"):
        pass
    assert not caplog.messages


def test_a_long_stage_is_named_goes_on_and_ends(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    with at_work("mesh"):
        for number in range(1, 4):
            until(lambda number=number: len(caplog.messages) == number)
            clock.seconds += 12.0
    told = ["mesh ...", "mesh: 12 s so far", "mesh: 24 s so far", "mesh: done in 36.0 s"]
    assert [line for line in caplog.messages if line != "mesh: 36 s so far"] == told


def test_whoever_else_speaks_is_enough(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    with at_work("poses", named=True):
        for number in range(4):
            clock.seconds += 0.09
            if number % 2:
                heard()
            else:
                logging.getLogger("utils").warning("image %d", number)
            clock.is_looked_at()
        assert caplog.messages == ["image 0", "image 2"]
        clock.seconds += 0.11
        until(lambda: "poses: 0 s so far" in caplog.messages)


def test_a_stage_that_fails_has_no_end(caplog: pytest.LogCaptureFixture) -> None:
    handlers = list(logging.getLogger().handlers)

    def fail() -> None:
        with at_work("mesh"):
            until(lambda: caplog.messages)
            raise ValueError("no surface")

    with pytest.raises(ValueError, match="no surface"):
        fail()
    assert caplog.messages == ["mesh ..."]
    assert logging.getLogger().handlers == handlers
