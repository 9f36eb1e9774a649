"""What is done ahead says and raises the same as what is done when it is asked for."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from patience import PATIENCE

from utils.ahead import Ahead, go_on

log = logging.getLogger(__name__)


def say(text: str) -> str:
    log.warning(text)
    return text


def say_elsewhere(text: str) -> str:
    with ThreadPoolExecutor(2) as pool:
        return pool.submit(say, text).result()


def fail() -> None:
    say("third")
    raise ValueError("broken")


def test_results_and_lines_come_in_the_order_in_which_they_are_asked_for(caplog):
    done = threading.Event()
    with Ahead(lambda: say("one"), lambda: say_elsewhere("two"), done.set) as ahead:
        assert done.wait(PATIENCE)
        say("zero")
        assert (ahead.result(0), ahead.result(1), ahead.result(0)) == ("one", "two", "one")
    assert caplog.messages == ["zero", "one", "two"]
    say_elsewhere("later")
    assert caplog.messages[-1] == "later"


def test_an_error_is_raised_where_its_step_is_asked_for_and_by_those_behind(caplog):
    with Ahead(lambda: say("first"), fail, lambda: say("never")) as ahead:
        assert ahead.result(0) == "first"
        for step in (1, 2):
            with pytest.raises(ValueError, match="broken"):
                ahead.result(step)
    assert caplog.messages == ["first", "third"]


def test_what_nobody_asks_for_ends_in_silence(caplog):
    begun, left = threading.Event(), threading.Event()
    steps = []

    def long() -> None:
        begun.set()
        left.wait(PATIENCE)
        while True:
            say("nobody hears")
            go_on()

    with Ahead(long, lambda: steps.append(1)):
        assert begun.wait(PATIENCE)
        threading.Timer(0.05, left.set).start()
    assert (caplog.messages, steps) == ([], [])
    go_on()  # nothing here
