"""Compiles the GPU kernels of a training side by side while photographs are read; the first step waits for them."""

import hashlib
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from models import ops
from models.ops.cards import Card, card_of, own_card
from systems.configs import Experiment
from systems.training.devices import Devices
from systems.training.rehearsal import rehearse
from utils.files import replacing
from utils.platforms import num_cores
from utils.registry import ROOT
from utils.terminal.count_bar import CountBar

log = logging.getLogger(__name__)
MOST_THREADS = 8
_LONGEST = ("scatter_kernel", "sdf:", "mlp:_backward", "gather_kernel", "mlp:")  # to compile, so that they begin first


class Compilable(Protocol):
    """A kernel with what it is compiled for: a `Launch` of `models.ops.launches`."""

    kernel: str

    def compiled(self) -> Any: ...


class CompilingAhead(Callback):
    """Compiles kernels on threads from now on; a training waits for the first ones before its first step.

    What fails is left to the launch, which says why."""

    def __init__(
        self,
        launches: Sequence[Compilable],
        num_first: int,
        threads: int,
        on_compiled: Callable[[Any], None] = lambda kernel: None,
        on_all: Callable[[list[Any]], None] = lambda kernels: None,
    ) -> None:
        """num_first: how many of the launches, from the front, the first step waits for; on_compiled: takes each kernel
        on its thread; on_all: takes all, once none has failed."""
        first, later = (sorted(part, key=_rank) for part in (launches[:num_first], launches[num_first:]))
        self._todo = deque(enumerate([*first, *later]))
        self._num, self._num_first, self._on_compiled, self._on_all = len(launches), num_first, on_compiled, on_all
        self._done: dict[int, Any] = {}  # kernels by their place; None for those that failed
        self._ended: dict[int, float] = {}  # seconds from the beginning
        self._changed, self._begun, self._is_told = threading.Condition(), time.perf_counter(), False
        self._threads = [threading.Thread(target=self._work, name=f"compiler-{i}") for i in range(threads)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        # Threads that Python waits for at its end: one that is killed within the compiler may take the process along.
        while self._todo and threading.main_thread().is_alive():
            try:
                place, launch = self._todo.popleft()
            except IndexError:
                return
            kernel = None
            try:
                kernel = launch.compiled()
                self._on_compiled(kernel)
            except Exception as error:
                log.debug("%s is not compiled ahead: %s", launch.kernel, error)
            with self._changed:
                self._done[place], self._ended[place] = kernel, time.perf_counter() - self._begun
                is_last = len(self._done) == self._num
                self._changed.notify_all()
            if is_last and None not in self._done.values():
                self._on_all(list(self._done.values()))

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Waits for the kernels of the first step."""
        self.wait()

    def wait(self) -> None:
        """Returns when those of the first step are compiled, or have failed; shows how many are."""
        waited, show = time.perf_counter(), CountBar("GPU kernels compiled", self._num_first)
        try:
            while self._num_ready() < self._num_first and any(thread.is_alive() for thread in self._threads):
                show(self._num_ready())
                with self._changed:
                    self._changed.wait(0.1)
        finally:
            show.close()
        if not self._is_told:
            took = time.perf_counter() - waited
            log.info("kernels:    compiled in %.1f s; the first step waited %.1f s for them", self._took(), took)
        self._is_told = True

    def _took(self) -> float:
        return max((self._ended[place] for place in range(self._num_first) if place in self._ended), default=0.0)

    def _num_ready(self) -> int:
        return sum(place < self._num_first for place in list(self._done))

    def close(self) -> None:
        """Compiles no more than has begun."""
        self._todo.clear()

    def on_exception(self, *args: Any) -> None:
        """Compiles no more: the training ends, and not well."""
        self.close()


def _rank(launch: Compilable) -> int:
    return next((place for place, part in enumerate(_LONGEST) if part in launch.kernel), len(_LONGEST))


def compiling_ahead(experiment: Experiment, devices: Devices) -> tuple[Callback, ...]:
    """A callback that compiles what a training launches; () where that is compiled already, or nothing for a GPU."""
    if not devices.is_first or experiment.model.backend not in ("auto", "triton"):
        return ()
    if devices.own.type != "cuda" or not ops.uses_triton(experiment.model.backend, torch.empty(0, device=devices.own)):
        return ()
    try:
        return _begin(experiment, own_card(devices.own), card_of(devices.own), _with_launcher)
    except Exception as error:  # a model of somebody's own need not run on a CPU
        log.debug("what the training launches is not known ahead: %s", error)
        log.info("GPU kernels that this machine has not compiled yet are compiled during the first steps")
        return ()


def _begin(
    experiment: Experiment, card: Card, tiles_of: Card, on_compiled: Callable[[Any], None]
) -> tuple[CompilingAhead, ...]:
    stamp = _stamp(experiment, card, tiles_of)
    if _holds(stamp):
        return ()
    launches, num_first = _rehearsed(experiment, card)
    threads = min(num_cores(), MOST_THREADS, len(launches))
    log.info("kernels:    %d are compiled by %d threads, or read from Triton's cache", len(launches), threads)
    return (CompilingAhead(launches, num_first, threads, on_compiled, partial(_leave, stamp)),)


def _rehearsed(experiment: Experiment, card: Card) -> tuple[list[Any], int]:
    """What a training launches, those of its steps first, and how many these are."""
    from models.ops.launches import noted

    of_steps: list[Any] = []
    with noted(card) as launches:
        rehearse(experiment, trained=lambda: of_steps.extend(launches))
    return launches, len(of_steps)


def _with_launcher(kernel: Any) -> None:
    """Compiles what hands a kernel its arguments, too: some versions of Triton write that in C."""
    from triton.runtime import driver

    driver.active.launcher_cls(kernel.src, kernel.metadata)


def _stamp(experiment: Experiment, card: Card, tiles_of: Card) -> Path:
    """The file that says that all is compiled: named by the sources, the settings, the card and the versions."""
    import triton
    from triton import knobs

    found = hashlib.sha256()
    for room in ("models", "systems/steps", "systems/training"):
        for file in sorted((ROOT / room).rglob("*.py")):
            found.update(file.read_bytes())
    settings = experiment.model, experiment.system, experiment.trainer.precision, experiment.trainer.max_steps
    found.update(repr((settings, card, tiles_of, triton.__version__, torch.__version__)).encode())
    return Path(knobs.cache.dir) / "photosurf" / f"{found.hexdigest()[:32]}.json"


def _holds(stamp: Path) -> bool:
    """Whether all is compiled, and still there."""
    try:
        folders = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return all((stamp.parent.parent / folder).is_dir() for folder in folders)


def _leave(stamp: Path, kernels: Sequence[Any]) -> None:
    folders = {Path(path).parent.name for kernel in kernels for path in kernel.metadata_group.values()}
    try:
        with replacing(stamp) as temporary:
            temporary.write_text(json.dumps(sorted(folders)), encoding="utf-8")
    except OSError as error:
        log.debug("%s cannot be written: %s", stamp, error)
