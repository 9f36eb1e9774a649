"""Runs the tasks of a sweep with Ray, on this machine or on a cluster. Only this module imports Ray."""

import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systems.sweep import runner
from utils import platforms
from utils.errors import InputError

log = logging.getLogger(__name__)
_THREADS = "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"
_CONNECT_SECONDS = 5.0
_STORE_BYTES = 80 * 2**20  # of Ray's object store: its minimum, since results here are only numbers


@dataclass(frozen=True)
class TaskStarted:
    """A task has started."""

    name: str
    device: str  # the machine, and its GPU or CPU


@dataclass(frozen=True)
class TaskEnded:
    """A task has ended."""

    name: str
    exit_code: int | None  # negative for a signal; None if it never ran or its machine is lost
    lost: str = ""  # why there is no exit code


class RayPool:
    """Runs tasks by name, each in its own Ray actor: one task for each GPU, or several on CPUs."""

    def __init__(self, address: str | None, gpus: int | None, jobs: int | None) -> None:
        """address: of a cluster, None for this machine; gpus: how many to use, None for all, 0 for the CPU; jobs: tasks
        at a time.

        Raises InputError if Ray is not installed, no cluster answers at the address, or there are fewer GPUs."""
        self._ray = _import_ray()
        self._connect(address)
        self._actors: dict[str, Any] = {}
        self._starts: dict[Any, str] = {}  # Ray reference that resolves when a task starts -> name of the task
        self._ends: dict[Any, str] = {}  # likewise for its end
        num_gpus = int(self._ray.cluster_resources().get("GPU", 0))
        if gpus is not None and gpus > num_gpus:
            self.close()
            raise InputError(f"--gpus {gpus}: Ray finds {num_gpus} GPUs. Give at most that many, or 0 for the CPU.")
        gpus = num_gpus if gpus is None else gpus
        self.on_gpu = gpus > 0
        self.slots = min(gpus, jobs or gpus) if self.on_gpu else jobs or 1
        machines = sum(node["Alive"] for node in self._ray.nodes())
        self._side_by_side = -(-self.slots // max(machines, 1))

    def _connect(self, address: str | None) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address is None:
            self._ray.init(include_dashboard=False, object_store_memory=_STORE_BYTES, address="local", **quiet)
            return
        try:
            _check_reachable(address)
            self._ray.init(address=address, **quiet)
        except (OSError, RuntimeError, ValueError) as error:  # a ConnectionError is an OSError
            raise InputError(
                f"--address {address}: no Ray cluster answers there ({error}). `ray start --head` prints the address; "
                "for a cluster that asks for a token, set RAY_AUTH_MODE=token here."
            ) from None

    def start(self, name: str, commands: Sequence[Sequence[str]], log_file: Path) -> None:
        """Runs the commands of a task as soon as there is room."""
        share = {"num_gpus": 1 if self.on_gpu else 0, "num_cpus": 0}
        actor = self._ray.remote(runner.Runner).options(max_concurrency=2, **share).remote()
        env = {key: os.environ[key] for key in _THREADS if key in os.environ}
        self._actors[name] = actor
        self._starts[actor.device.remote(self.on_gpu)] = name
        end = actor.run.remote(commands, os.getcwd(), str(log_file.resolve()), self._side_by_side, env)
        self._ends[end] = name

    def poll(self, seconds: float) -> list[TaskStarted | TaskEnded]:
        """The tasks that started or ended since the last call; waits at most `seconds` for the first."""
        refs = [*self._starts, *self._ends]
        if not refs:
            return []
        self._ray.wait(refs, timeout=seconds)
        ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        starts = [self._started(ref) for ref in ready if ref in self._starts]
        return [event for event in starts if event] + [self._ended(ref) for ref in ready if ref in self._ends]

    def _started(self, ref: Any) -> TaskStarted | None:
        name = self._starts.pop(ref)
        try:
            return TaskStarted(name, self._ray.get(ref))
        except self._ray.exceptions.RayError:
            return None  # its end says why

    def _ended(self, ref: Any) -> TaskEnded:
        name = self._ends.pop(ref)
        actor = self._actors.pop(name)
        try:
            code = self._ray.get(ref)
            return TaskEnded(name, code, "" if code is not None else "another process writes to its folder")
        except self._ray.exceptions.RayTaskError as error:
            return TaskEnded(name, None, str(error.cause))
        except self._ray.exceptions.RayError as error:
            return TaskEnded(name, None, f"the process that ran it is lost ({type(error).__name__})")
        finally:
            self._ray.kill(actor)  # at once, so that the GPU is free

    def stop(self) -> None:
        """Tells all tasks to save and end, and drops those that still wait. `poll` reports when they have ended."""
        waiting = set(self._starts.values())
        for name, actor in self._actors.items():
            if name in waiting:
                self._ray.kill(actor)
            else:
                actor.stop.remote()

    def close(self) -> None:
        """Shuts Ray down and kills what still runs."""
        self._ray.shutdown()


def _check_reachable(address: str) -> None:
    """Raises OSError if nothing listens at host:port, since Ray would try for minutes; Ray checks other addresses."""
    host, _, port = address.rpartition(":")
    if host and "/" not in address and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads it at import; no usage statistics are sent
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        from ray import cloudpickle
    except ImportError:
        raise InputError("Ray, which runs the tasks of a sweep, is not installed: pip install ray") from None
    for module in (runner, platforms):  # machines of a cluster need not be able to import them
        cloudpickle.register_pickle_by_value(module)
    return ray
