"""Splits that are loaded before they are asked for, and what is said of them."""

import logging
import threading
from pathlib import Path

import pytest

from datasets.blender import BlenderConfig
from datasets.scene import EarlyScenes, Scene
from utils.errors import DataError

log = logging.getLogger(__name__)


@pytest.fixture
def config(blender_root: Path) -> BlenderConfig:
    return BlenderConfig(str(blender_root))


def test_a_doubt_begins_when_it_is_asked_for_and_is_said_when_it_is_known(config, caplog):
    begun, goes_on = threading.Event(), threading.Event()

    def doubt(scene: Scene) -> None:
        begun.set()
        goes_on.wait(10.0)
        log.warning("%d photographs look odd", len(scene))

    with EarlyScenes(config, ("train", "val"), lambda scene: log.warning("judged"), doubt) as loader:
        loader.judge()
        assert caplog.messages == ["judged"]
        assert not begun.wait(0.2)
        assert not loader.doubt(False)
        assert begun.wait(10.0)
        assert not loader.doubt(False)
        assert len(caplog.messages) == 1
        goes_on.set()
        assert loader.doubt(True)
    assert caplog.messages == ["judged", "9 photographs look odd"]


def test_a_doubt_that_nobody_asks_for_is_not_looked_into(config, caplog):
    asked = []
    with EarlyScenes(config, ("train",), None, asked.append) as loader:
        assert len(loader.load("train")) == 9
        loader.judge()
    assert asked == []
    assert caplog.messages == []


def test_what_a_judge_raises_is_raised_when_it_is_asked(config):
    def judge(scene: Scene) -> None:
        raise DataError("the masks are of another object")

    with EarlyScenes(config, ("train",), judge, log.warning) as loader:
        loader.load("train")
        with pytest.raises(DataError, match="another object"):
            loader.judge()


def test_what_other_threads_log_is_not_held_back_for_a_doubt_to_come(config, caplog):
    with EarlyScenes(config, ("train",), None, lambda scene: None) as loader:
        loader.judge()
        thread = threading.Thread(target=lambda: log.warning("kernels are compiled: 20 s so far"))
        thread.start()
        thread.join()
        assert caplog.messages == ["kernels are compiled: 20 s so far"]
        assert loader.doubt(True)
