"""Carries out the tasks of a sweep: starts them while there is room, tells of each, and ends them when told to."""

import logging
import signal
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from systems.runs import written_under
from systems.sweep.plan import Task
from systems.sweep.pool import Ended, Started
from systems.sweep.results import brief
from systems.sweep.standing import (
    Standing,
    State,
    commands,
    forget_failure,
    is_complete,
    log_of,
    note_failure,
)
from utils.eta import format_duration
from utils.interrupts import Interrupts

log = logging.getLogger(__name__)
POLL_SECONDS = 0.5
_HINT = "the same command goes on with it"


class Pool(Protocol):
    """What runs tasks; see pool.RayPool."""

    slots: int  # tasks at a time
    on_gpu: bool

    def start(self, name: str, commands: Sequence[Sequence[str]], log_file: Path) -> None: ...

    def poll(self, seconds: float) -> Sequence[Started | Ended]: ...

    def stop(self) -> None: ...


@dataclass
class Execution:
    """The tasks that are left of a sweep, and how far they are."""

    pool: Pool
    exp_dir: Path
    runs_dir: Path
    interrupts: Interrupts
    now: Callable[[], float] = time.monotonic
    _since: dict[str, float] = field(default_factory=dict)  # when a task began that runs
    _took: list[float] = field(default_factory=list)  # seconds, of each task that is done
    _stopping: bool = False

    def run(self, tasks: Sequence[Task], standings: dict[str, Standing]) -> None:
        """Runs tasks to their end, or to the next signal; writes into `standings` where each stands then."""
        waiting, running = deque(tasks), {}
        while running or (waiting and not self._stopping):
            while waiting and len(running) < self.pool.slots and not self._stopping:
                task = waiting.popleft()
                running[task.name] = task
                standings[task.name] = Standing(State.BEGUN, _HINT)
                self._start(task)
            for event in self.pool.poll(POLL_SECONDS):
                if isinstance(event, Started):
                    self._since[event.name] = self.now()
                    number = len(tasks) - len(waiting) - len(running) + len(self._since)
                    log.info("started  %s on %s (%d of %d)", event.name, event.place, number, len(tasks))
                else:
                    task = running.pop(event.name)
                    standings[task.name] = self._end(task, event, len(waiting), len(running))
            if self.interrupts.received is not None and not self._stopping:
                self._stopping = True
                self.pool.stop()

    def _start(self, task: Task) -> None:
        with written_under(task.run.path, "--exp_dir"):
            task.run.path.mkdir(parents=True, exist_ok=True)
            work = commands(task, "0" if self.pool.on_gpu else "cpu", self.exp_dir, self.runs_dir)
            forget_failure(task)
        self.pool.start(task.name, work, log_of(task))

    def _end(self, task: Task, event: Ended, waiting: int, running: int) -> Standing:
        seconds = self.now() - self._since.pop(task.name, self.now())
        standing = judge(task, event)
        if standing.state is State.DONE:
            self._took.append(seconds)
            text = f"finished {task.name} in {format_duration(seconds)}: {brief(task)}"
        else:
            text = f"{standing.state:8} {task.name} after {format_duration(seconds)}: {standing.reason}"
        log.info("%s; %s", text, self._prospect(waiting, running))
        return standing

    def _prospect(self, waiting: int, running: int) -> str:
        """How many tasks are left, and about how long they will take if they are like those before."""
        left = waiting + running
        if not left or not self._took:
            return f"{left} left"
        usual, now = statistics.median(self._took), self.now()
        work = usual * waiting + sum(max(usual - (now - since), 0.0) for since in self._since.values())
        work += usual * (running - len(self._since))  # those that wait for room
        return f"{left} left, about {format_duration(work / min(self.pool.slots, left))}"


def judge(task: Task, event: Ended) -> Standing:
    """Where a task stands after it ended; a failure is noted in its folder.

    One that a signal ended, or that lost its machine, goes on the next time."""
    code = event.exit_code
    if code is None:
        return Standing(State.BEGUN, f"{event.lost}; {_HINT}")
    if code < 0 or code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        name = signal.Signals(-code if code < 0 else code - 128).name
        return Standing(State.BEGUN, f"ended by {name}; {_HINT}")
    if code == 0 and is_complete(task):
        return Standing(State.DONE)
    return Standing(State.FAILED, f"{note_failure(task, code)} ({log_of(task)})")
