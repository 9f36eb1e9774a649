"""A long stage is heard of, a short one is not."""

import logging
import time

import pytest

from utils.terminal import at_work as module
from utils.terminal.at_work import at_work, heard

NAME = "utils.terminal.at_work"


@pytest.fixture(autouse=True)
def _quicker(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.3)
    caplog.set_level(logging.INFO)


def test_a_short_stage_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with at_work("mesh"):
        pass
    assert not caplog.messages


def test_a_long_stage_is_named_goes_on_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    with at_work("mesh"):
        time.sleep(1.0)
    first, *going_on, last = caplog.messages
    assert first == "mesh ..."
    assert 1 <= len(going_on) <= 3
    assert {line.partition(":")[2] for line in going_on} <= {" 0 s so far", " 1 s so far"}
    assert last.startswith("mesh: done in 1.")


def test_whoever_else_speaks_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    with at_work("poses", named=True):
        for number in range(8):
            time.sleep(0.1)
            if number % 2:
                heard()
            else:
                logging.getLogger("utils").warning("image %d", number)
    assert not [line for line in caplog.messages if "poses" in line]


def test_a_stage_that_fails_has_no_end(caplog: pytest.LogCaptureFixture) -> None:
    handlers = list(logging.getLogger().handlers)

    def fail() -> None:
        with at_work("mesh"):
            time.sleep(0.2)
            raise ValueError("no surface")

    with pytest.raises(ValueError, match="no surface"):
        fail()
    assert caplog.messages == ["mesh ..."]
    assert logging.getLogger().handlers == handlers
