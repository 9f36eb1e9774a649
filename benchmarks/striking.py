"""Runs of launch.py in child processes that something strikes, with the steps that each has done.

A child is a fork of a process that has imported everything and computed nothing: it is ready at once."""

import contextlib
import importlib
import mmap
import os
import random
import runpy
import signal
import struct
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

Hook = Callable[[TrainingStep, int], None]  # before a step, in the child
for _name in ("datasets.datamodule", "systems.training.attempts", "systems.training.banner"):
    importlib.import_module(_name)  # what launch.py imports once it knows what to do
_STATE = struct.Struct("<qqq")  # the first step of a run, -1 before; steps behind it; steps that it has repeated


@dataclass(frozen=True)
class End:
    """How a child ended."""

    code: int  # as shells have it: 137 after kill -9
    first: int  # step that it began with; -1: none
    done: int  # steps behind it
    repeated: int  # steps that it did again by itself
    said: str  # on its standard streams


class Child:
    """launch.py with some arguments, in a process of its own."""

    def __init__(self, argv: Sequence[str], hook: Hook | None = None) -> None:
        self._shared, (self._said, out) = mmap.mmap(-1, _STATE.size), os.pipe()  # which no full disk concerns
        self._shared[:] = _STATE.pack(-1, 0, 0)
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            try:
                os.dup2(out, 1)
                os.dup2(out, 2)
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
        """The step that the child is at; -1 before the first."""
        first, done, _ = _STATE.unpack(self._shared)
        return -1 if first < 0 else done

    def wait(self) -> End:
        """Waits for the end; what is said until then has to fit into a pipe."""
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        with open(self._said, encoding="utf-8", errors="replace") as said:
            return End(128 - code if code < 0 else code, *_STATE.unpack(self._shared), said.read())

    def strike(self, signum: int, seconds: float) -> End:
        """Sends a signal so many seconds from now, or at the end of the child where that is sooner."""
        time.sleep(seconds)
        os.kill(self.pid, signum)  # a child that has ended waits for `wait`, and takes no notice
        return self.wait()

    def strike_at(self, signum: int, step: int, seconds: float = 0.0) -> End:
        """Sends a signal so many seconds after the child has come to a step, or to its end."""
        running = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while self.step < step and os.waitid(os.P_PID, self.pid, running) is None:
            time.sleep(0.0005)
        return self.strike(signum, seconds)


def final_weights(run: Path, steps: int) -> dict[str, torch.Tensor]:
    """The parameters after the last step."""
    (path,) = (run / "ckpt").glob(f"*-step={steps}.ckpt")
    return torch.load(path, weights_only=True)["state_dict"]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether two states are equal to the bit."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def damage(run: Path, draw: random.Random, is_cut: bool) -> None:
    """Cuts the newest checkpoint of a run off at some place, or flips one bit of it."""
    path = checkpoints_in(run)[0]
    content = bytearray(path.read_bytes())
    if is_cut:
        content = content[: draw.randrange(len(content))]
    else:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def poison_at(step: int) -> Hook:
    """A hook that makes a parameter NaN before a step, once."""
    struck = []

    def poison(training: TrainingStep, number: int) -> None:
        if number == step and not struck:
            struck.append(number)
            with torch.no_grad():
                next(training.model.parameters()).view(-1)[0] = torch.nan

    return poison


def exhaust_at(step: int) -> Hook:
    """A hook that runs out of memory before a step, once."""
    struck = []

    def exhaust(training: TrainingStep, number: int) -> None:
        if number == step and not struck:
            struck.append(number)
            raise torch.OutOfMemoryError("CUDA out of memory.")

    return exhaust


def full_disk_between(first: int, last: int) -> Hook:
    """A hook that lets files grow to a few KB only, for some steps: the system refuses what goes beyond that."""
    import resource  # not everywhere

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
    """A file is gone while the block runs."""
    aside = path.with_name(f"{path.name}.aside")
    path.rename(aside)
    yield
    aside.rename(path)
