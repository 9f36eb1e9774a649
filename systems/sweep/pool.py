"""Has the tasks of a sweep run by Ray, on this machine or on a cluster; Ray is imported here alone."""

import logging
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systems.sweep import runner
from utils.errors import InputError

log = logging.getLogger(__name__)
_THREADS = "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"
_KNOCK_SECONDS = 5.0
_STORE_BYTES = 80 * 2**20  # of Ray's object store, the least that it takes: results here are numbers


@dataclass(frozen=True)
class Started:
    """A task has found a place."""

    name: str
    place: str


@dataclass(frozen=True)
class Ended:
    """A task is over."""

    name: str
    exit_code: int | None  # negative for a signal; None: it never ran, or what ran it is lost
    lost: str = ""  # why there is no exit code


class RayPool:
    """Runs tasks by name, each in an actor of its own, one for each GPU or several on CPUs."""

    def __init__(self, address: str | None, gpus: int | None, jobs: int | None) -> None:
        """address: of a cluster, None: this machine; gpus: to use, None: all, 0: CPUs; jobs: tasks at a time.

        Raises InputError without Ray, a cluster at the address, or so many GPUs."""
        self._ray = _import_ray()
        self._connect(address)
        self._actors: dict[str, Any] = {}
        self._places: dict[Any, str] = {}  # names by what tells of their start
        self._ends: dict[Any, str] = {}
        found = int(self._ray.cluster_resources().get("GPU", 0))
        if gpus is not None and gpus > found:
            self.close()
            raise InputError(f"--gpus {gpus}: Ray finds {found} GPUs. Give at most that many, or 0 for the CPU.")
        gpus = found if gpus is None else gpus
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
            _knock(address)
            self._ray.init(address=address, **quiet)
        except (OSError, RuntimeError, ValueError) as error:  # a ConnectionError is an OSError
            raise InputError(
                f"--address {address}: no Ray cluster is reached there ({error}). ray start --head says its address; "
                "one that asks for a token needs RAY_AUTH_MODE=token here."
            ) from None

    def start(self, name: str, commands: Sequence[Sequence[str]], log_file: Path) -> None:
        """Has the commands of a task run as soon as there is room."""
        share = {"num_gpus": 1 if self.on_gpu else 0, "num_cpus": 0}
        actor = self._ray.remote(runner.Runner).options(max_concurrency=2, **share).remote()
        told = {key: os.environ[key] for key in _THREADS if key in os.environ}
        self._actors[name] = actor
        self._places[actor.place.remote(self.on_gpu)] = name
        end = actor.run.remote(commands, os.getcwd(), str(log_file.resolve()), self._side_by_side, told)
        self._ends[end] = name

    def poll(self, seconds: float) -> list[Started | Ended]:
        """What happened; waits for so long at most where nothing did."""
        refs = [*self._places, *self._ends]
        if not refs:
            return []
        self._ray.wait(refs, timeout=seconds)
        ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
        starts = [self._started(ref) for ref in ready if ref in self._places]
        return [event for event in starts if event] + [self._ended(ref) for ref in ready if ref in self._ends]

    def _started(self, ref: Any) -> Started | None:
        name = self._places.pop(ref)
        try:
            return Started(name, self._ray.get(ref))
        except self._ray.exceptions.RayError:
            return None  # its end says why

    def _ended(self, ref: Any) -> Ended:
        name = self._ends.pop(ref)
        actor = self._actors.pop(name)
        try:
            code = self._ray.get(ref)
            return Ended(name, code, "" if code is not None else "another process holds its folder")
        except self._ray.exceptions.RayTaskError as error:
            return Ended(name, None, str(error.cause))
        except self._ray.exceptions.RayError as error:
            return Ended(name, None, f"what ran it is lost ({type(error).__name__})")
        finally:
            self._ray.kill(actor)  # at once, for the GPU's sake

    def stop(self) -> None:
        """Tells all tasks to save and to end; those that wait for room are dropped. `poll` tells when they have."""
        waiting = set(self._places.values())
        for name, actor in self._actors.items():
            if name in waiting:
                self._ray.kill(actor)
            else:
                actor.stop.remote()

    def close(self) -> None:
        """Lets go of Ray; what still runs is killed."""
        self._ray.shutdown()


def _knock(address: str) -> None:
    """Raises OSError where nothing listens at host:port, which Ray would try for minutes; other forms are Ray's."""
    host, _, port = address.rpartition(":")
    if host and "/" not in address and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when it is imported: nothing is sent to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        from ray import cloudpickle
    except ImportError:
        raise InputError("Ray, which runs the tasks of a sweep, is not installed: pip install ray") from None
    cloudpickle.register_pickle_by_value(runner)  # no machine of a cluster has to find this module
    return ray
