"""Runs the tasks of a sweep: starts as many at a time as there is room for, logs each, and stops them on a signal."""

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
from systems.sweep.pool import TaskEnded, TaskStarted
from systems.sweep.results import summary_of
from systems.sweep.status import (
    TaskState,
    TaskStatus,
    clear_failure,
    commands,
    is_complete,
    log_path,
    record_failure,
)
from utils.interrupts import Interrupts, Stopped
from utils.terminal.eta import format_duration

log = logging.getLogger(__name__)
POLL_SECONDS = 0.5
_HINT = "the same command continues it"


class Pool(Protocol):
    """Runs tasks; see pool.RayPool."""

    slots: int  # tasks at a time
    on_gpu: bool

    def start(self, name: str, commands: Sequence[Sequence[str]], log_file: Path) -> None: ...

    def poll(self, seconds: float) -> Sequence[TaskStarted | TaskEnded]: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


@dataclass
class Execution:
    """Runs the tasks of a sweep that are left, and knows how far they are."""

    pool: Pool
    exp_dir: Path
    runs_dir: Path
    interrupts: Interrupts
    now: Callable[[], float] = time.monotonic
    _since: dict[str, float] = field(default_factory=dict)  # start times of the tasks that run
    _took: list[float] = field(default_factory=list)  # seconds that each finished task took
    _stopping: bool = False

    def run(self, tasks: Sequence[Task], statuses: dict[str, TaskStatus]) -> None:
        """Runs tasks until all have ended or a signal comes; writes the new status of each into `statuses`."""
        waiting, running = deque(tasks), {}
        while running or (waiting and not self._stopping):
            while waiting and len(running) < self.pool.slots and not self._stopping:
                task = waiting.popleft()
                running[task.name] = task
                statuses[task.name] = TaskStatus(TaskState.INTERRUPTED, _HINT)
                self._start(task)
            for event in self.pool.poll(POLL_SECONDS):
                if isinstance(event, TaskStarted):
                    self._since[event.name] = self.now()
                    number = len(tasks) - len(waiting) - len(running) + len(self._since)
                    log.info("started  %s on %s (%d of %d)", event.name, event.device, number, len(tasks))
                else:
                    task = running.pop(event.name)
                    statuses[task.name] = self._end(task, event, len(waiting), len(running))
            if self.interrupts.received is not None and not self._stopping:
                self._stopping = True
                self.pool.stop()

    def _start(self, task: Task) -> None:
        with written_under(task.run.path, "--exp_dir"):
            task.run.path.mkdir(parents=True, exist_ok=True)
            work = commands(task, "0" if self.pool.on_gpu else "cpu", self.exp_dir, self.runs_dir)
            clear_failure(task)
        self.pool.start(task.name, work, log_path(task))

    def _end(self, task: Task, event: TaskEnded, waiting: int, running: int) -> TaskStatus:
        seconds = self.now() - self._since.pop(task.name, self.now())
        status = status_after(task, event)
        if status.state is TaskState.DONE:
            self._took.append(seconds)
            text = f"finished {task.name} in {format_duration(seconds)}: {summary_of(task)}"
        else:
            text = f"{status.state:8} {task.name} after {format_duration(seconds)}: {status.reason}"
        log.info("%s; %s", text, self._time_left(waiting, running))
        return status

    def _time_left(self, waiting: int, running: int) -> str:
        """How many tasks are left, and about how long they will take if they are like those before."""
        left = waiting + running
        if not left or not self._took:
            return f"{left} left"
        usual, now = statistics.median(self._took), self.now()
        work = usual * waiting + sum(max(usual - (now - since), 0.0) for since in self._since.values())
        work += usual * (running - len(self._since))  # those that wait for a GPU
        return f"{left} left, about {format_duration(work / min(self.pool.slots, left))}"


def status_after(task: Task, event: TaskEnded) -> TaskStatus:
    """The status of a task that has ended; writes a failure into the task's folder.

    A task that a signal ended, or that lost its machine, continues the next time."""
    code = event.exit_code
    if code is None:
        return TaskStatus(TaskState.INTERRUPTED, f"{event.lost}; {_HINT}")
    if code < 0 or code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        name = signal.Signals(-code if code < 0 else code - 128).name
        return TaskStatus(TaskState.INTERRUPTED, f"ended by {name}; {_HINT}")
    if code == 0 and is_complete(task):
        return TaskStatus(TaskState.DONE)
    return TaskStatus(TaskState.FAILED, f"{record_failure(task, code)} ({log_path(task)})")


def run_tasks(
    tasks: Sequence[Task], statuses: dict[str, TaskStatus], pool: Pool, exp_dir: Path, runs_dir: Path
) -> int | None:
    """Runs tasks, updates their statuses and closes the pool; returns the signal that stopped it, None if none did."""
    interrupts = Interrupts()
    try:
        log.info("running on %s, %d at a time", "GPUs" if pool.on_gpu else "the CPU", pool.slots)
        with interrupts:
            interrupts.keep()  # Ray has installed its own handler
            Execution(pool, exp_dir, runs_dir, interrupts).run(tasks, statuses)
    except Stopped as stop:  # the second signal
        return stop.signum
    finally:
        pool.close()
    return interrupts.received
