"""The stages of a run, from the command on."""

import time

from utils import stages
from utils.stages import Stages


def test_a_process_is_older_than_its_clock_after_import():
    moments, ages = [time.perf_counter()], []
    for _ in range(2):
        ages.append(stages.seconds_since_start())
        moments.append(time.perf_counter())
    assert ages[0] > moments[0] - stages._IMPORTED - 0.02  # the system counts in hundredths
    assert -1e-3 < ages[1] - ages[0] < moments[2] - moments[0] + 1e-3


def test_each_stage_takes_what_passed_since_the_one_before_and_ends_once():
    moments = iter([0.25, 1.0, 4.0])
    start = Stages(lambda: next(moments))
    assert start.report() == {"total": 0.0}
    for name in ("config", "imports", "config", "first_step"):
        start.end(name)
    assert start.report() == {"config": 0.25, "imports": 0.75, "first_step": 3.0, "total": 4.0}


def test_a_start_and_what_follows_it_are_told_apart():
    moments = iter([1.0, 3.0, 6.0, 10.0])
    run = Stages(lambda: next(moments))
    for name in ("config", "first_step", "training", "report"):
        run.end(name)
    assert run.report(until="first_step") == {"config": 1.0, "first_step": 2.0, "total": 3.0}
    assert run.report(after="first_step") == {"training": 3.0, "report": 4.0, "total": 10.0}
    assert run.report(after="missing", until="missing") == run.report()
