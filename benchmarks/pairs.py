"""Runs of launch.py with two processes on the CPU, of which one is lost."""

import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import torch

from benchmarks.striking import End, final_weights, same
from systems.runs import checkpoints_in
from utils.registry import ROOT

GPU = "cpu,cpu"
_CALM = 0.05  # seconds between two looks


class Pair:
    """launch.py with some arguments, in a session of its own, as a shell would start it."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (for `wait`)
        command = [sys.executable, str(ROOT / "launch.py"), *argv, "--gpu", GPU]
        threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        self._first = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | threads,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self) -> End:
        """Waits for the end of both; the steps of an end are those of the curves, see `last_step`."""
        code = self._first.wait()
        while others_of(self._first.pid):
            time.sleep(_CALM)
        self._said.seek(0)
        return End(128 - code if code < 0 else code, -1, -1, 0, self._said.read())

    def lose_one(self, run_of: Path, draw: random.Random, longest: float) -> End:
        """kill -9 of the process that the first one has started, some time after the first checkpoint of the run that
        appears in a folder, at most so many seconds."""
        while self._first.poll() is None and not list(run_of.glob("exp/*/*/ckpt/*.ckpt")):
            time.sleep(_CALM)
        time.sleep(draw.uniform(0.0, longest))
        for other in others_of(self._first.pid):
            os.kill(other, signal.SIGKILL)
        return self.wait()


def others_of(leader: int) -> set[int]:
    """The living processes of a process group, but its leader."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it has just ended
        if int(group) == leader and state != "Z":
            found.add(int(stat.parent.name))
    return found - {leader}


class Bench(Protocol):
    """Where runs begin and go on."""

    out: Path  # of the run that was begun last
    run: Path | None
    training: float  # seconds, of one process
    draw: random.Random

    def begin(self) -> None: ...
    def beginning(self) -> list[str]: ...
    def going_on(self) -> list[str]: ...


@cache
def whole_weights(bench: Bench, steps: int) -> dict[str, torch.Tensor]:
    """The weights of a run of two processes that nothing struck."""
    bench.begin()
    end = Pair(bench.beginning()).wait()
    assert end.code == 0, end.said
    return final_weights(bench.run, steps)


def lose_one_of_two(bench: Bench, steps: int) -> tuple[int, bool, bool]:
    """Strikes a run of two processes and goes on with it: steps lost, as logged; whether it went as expected, and
    whether it ended in the weights of a run that nothing struck."""
    whole = whole_weights(bench, steps)
    bench.begin()
    while (before := Pair(bench.beginning()).lose_one(bench.out, bench.draw, 0.5 * bench.training)).code == 0:
        bench.begin()  # it had come to its end by then
    lost = max(last_step(bench.run) - saved_step(bench.run), 0)
    after = Pair(bench.going_on()).wait()
    is_same = after.code == 0 and same(final_weights(bench.run, steps), whole)
    return lost, before.code in (2, 137) and after.code == 0, is_same


def last_step(run: Path) -> int:
    """The last step that a run has logged, counted from 1; 0 for none."""
    steps = [0]
    for path in run.glob("csv_logs/**/metrics.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            steps += [int(row["step"]) + 1 for row in csv.DictReader(file)]
    return max(steps)


def saved_step(run: Path) -> int:
    """The step of the newest checkpoint; 0 for none."""
    found = checkpoints_in(run)
    return int(found[0].stem.rpartition("=")[2]) if found else 0
