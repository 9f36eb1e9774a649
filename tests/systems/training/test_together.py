"""What the first of several processes does when a step fails: it says what was lost and leaves nobody behind."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from patience import PATIENCE

from systems.steps.ranks import SplitRays
from systems.training.attempts import train
from utils.errors import ReconstructionError


class Strategy(SplitRays):
    """As after a start with one other process."""

    def __init__(self, others: list[subprocess.Popen]) -> None:
        self._launcher = SimpleNamespace(procs=others)


def fail_with(error: Exception, others: list[subprocess.Popen]) -> None:
    """A training of several processes in which a step raises."""

    def fit(*args: object, **kwargs: object) -> None:
        raise error

    run = SimpleNamespace(path=Path("exp/a"))
    job = SimpleNamespace(devices=SimpleNamespace(size=2), run=run, checkpoint=None, weights_only=False)
    trainer = SimpleNamespace(fit=fit, strategy=Strategy(others), global_step=3)
    train(job, SimpleNamespace(trainer=trainer, system=None, saver=None), None)


def test_a_process_that_was_killed_is_told_and_the_others_are_ended() -> None:
    dead, alive = (subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2))
    dead.kill()
    dead.wait()
    with pytest.raises(ReconstructionError, match=f"has ended with code {dead.returncode}, .*--resume exp/a --train"):
        fail_with(RuntimeError("Connection closed by peer"), [alive, dead])
    assert alive.wait(timeout=PATIENCE) != 0


def test_where_all_live_the_error_is_the_own_one_and_the_others_are_ended_too() -> None:
    alive = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with pytest.raises(RuntimeError, match="a step of its own"):
        fail_with(RuntimeError("a step of its own"), [alive])
    assert alive.wait(timeout=PATIENCE) != 0
