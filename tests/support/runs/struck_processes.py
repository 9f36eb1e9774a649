"""Runs of launch.py in other processes, one or two, and faults that strike them.

A Child is a fork of a process that has imported everything and computed nothing, so it starts at once; a Pair are two
processes that train together on the CPU."""

import contextlib
import csv
import importlib
import mmap
import os
import random
import runpy
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from systems.runs import checkpoints_in
from systems.steps.step import TrainingStep
from utils.registry import ROOT

POLL = 0.05  # seconds between two looks at a pair
Hook = Callable[[TrainingStep, int], None]  # runs before each step, in the child
for _name in ("datasets.datamodule", "systems.training.attempts", "systems.training.banner"):
    importlib.import_module(_name)  # what launch.py imports once it knows what to do
_STATE = struct.Struct("<qqq")  # first step of a run (-1: none yet), steps done, steps repeated


@dataclass(frozen=True)
class End:
    """How a child ended."""

    code: int  # as a shell reports it: 137 after kill -9
    first: int  # the step that it began with; -1: none
    done: int  # the last step that it began
    repeated: int  # steps that it did again by itself
    said: str  # stdout and stderr


class Child:
    """A forked process that runs launch.py with some arguments."""

    def __init__(self, argv: Sequence[str], hook: Hook | None = None) -> None:
        self._shared, (self._said, out) = mmap.mmap(-1, _STATE.size), os.pipe()  # a full disk does not affect either
        self._shared[:] = _STATE.pack(-1, 0, 0)
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            try:
                os.dup2(out, 1)
                os.dup2(out, 2)
                sys.stdout, sys.stderr = (open(fd, "w", buffering=1, encoding="utf-8") for fd in (1, 2))  # noqa: SIM115  not pytest's
                code = self._run(list(argv), hook)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(out)

    def _run(self, argv: list[str], hook: Hook | None) -> int:
        run = TrainingStep.run

        def counted(step: TrainingStep, number: int) -> Any:
            first, before, again = _STATE.unpack(self._shared)
            again += max(before + 1 - number, 0) if first >= 0 else 0
            self._shared[:] = _STATE.pack(number if first < 0 else first, number, again)
            if hook is not None:
                hook(step, number)
            return run(step, number)

        TrainingStep.run = counted
        return runpy.run_path(str(ROOT / "launch.py"))["main"](argv)

    @property
    def step(self) -> int:
        """The step that the child is doing; -1 before its first."""
        first, done, _ = _STATE.unpack(self._shared)
        return -1 if first < 0 else done

    def wait(self) -> End:
        """Waits for the end. What the child prints has to fit into a pipe."""
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        with open(self._said, encoding="utf-8", errors="replace") as said:
            return End(128 - code if code < 0 else code, *_STATE.unpack(self._shared), said.read())

    def strike(self, signum: int, seconds: float) -> End:
        """Sends a signal after some seconds; does nothing to a child that has ended by then."""
        time.sleep(seconds)
        os.kill(self.pid, signum)  # a child that has ended is a zombie until `wait`, so its pid is still its own
        return self.wait()

    def strike_at(self, signum: int, step: int, seconds: float = 0.0) -> End:
        """Sends a signal some seconds after the child has begun a step, or has ended."""
        running = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while self.step < step and os.waitid(os.P_PID, self.pid, running) is None:
            time.sleep(0.0005)
        return self.strike(signum, seconds)


class Pair:
    """launch.py with some arguments and two processes, in a session of its own, as a shell would start it."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (for `wait`)
        command = [sys.executable, str(ROOT / "launch.py"), *argv, "--gpu", "cpu,cpu"]
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
        """Waits until both have ended. The steps of this End are unknown; see `last_step` and `saved_step`."""
        code = self._first.wait()
        while others_of(self._first.pid):
            time.sleep(POLL)
        self._said.seek(0)
        return End(128 - code if code < 0 else code, -1, -1, 0, self._said.read())

    def lose_one(self, out: Path, draw: random.Random, max_seconds: float) -> End:
        """Waits for the first checkpoint below `out` and up to `max_seconds` more, then kills the second process."""
        while self._first.poll() is None and not list(out.glob("exp/*/*/ckpt/*.ckpt")):
            time.sleep(POLL)
        time.sleep(draw.uniform(0.0, max_seconds))
        for other in others_of(self._first.pid):
            os.kill(other, signal.SIGKILL)
        return self.wait()


def others_of(leader: int) -> set[int]:
    """The living processes of a process group without its leader."""
    members = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it has just ended
        if int(group) == leader and state != "Z":
            members.add(int(stat.parent.name))
    return members - {leader}


def last_step(run: Path) -> int:
    """The last step that a run has logged, counted from 1; 0 for none."""
    steps = [0]
    for path in run.glob("csv_logs/**/metrics.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            steps += [int(row["step"]) + 1 for row in csv.DictReader(file)]
    return max(steps)


def saved_step(run: Path) -> int:
    """The step of the newest checkpoint; 0 for none."""
    checkpoints = checkpoints_in(run)
    return int(checkpoints[0].stem.rpartition("=")[2]) if checkpoints else 0


def damage(run: Path, draw: random.Random, is_cut: bool) -> None:
    """Truncates the newest checkpoint of a run at a random byte, or flips one bit of it."""
    path = checkpoints_in(run)[0]
    content = bytearray(path.read_bytes())
    if is_cut:
        content = content[: draw.randrange(len(content))]
    else:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def poison_at(step: int) -> Hook:
    """A hook that sets a parameter to NaN before a step, once."""
    struck = []

    def poison(training: TrainingStep, number: int) -> None:
        if number == step and not struck:
            struck.append(number)
            with torch.no_grad():
                next(training.model.parameters()).view(-1)[0] = torch.nan

    return poison


def exhaust_at(step: int) -> Hook:
    """A hook that raises the error of a GPU without memory before a step, once."""
    struck = []

    def exhaust(training: TrainingStep, number: int) -> None:
        if number == step and not struck:
            struck.append(number)
            raise torch.OutOfMemoryError("CUDA out of memory.")

    return exhaust


def full_disk_between(first: int, last: int) -> Hook:
    """A hook that limits files to 4 KiB for some steps, so that the system refuses to write a checkpoint."""
    import resource  # POSIX only

    def fill(training: TrainingStep, number: int) -> None:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        if number == first:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        if number == last:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limits[1], limits[1]))

    return fill


@contextlib.contextmanager
def vanished(path: Path) -> Iterator[None]:
    """Hides a file while the block runs."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    yield
    aside.rename(path)
