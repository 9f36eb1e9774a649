"""Compiles what finishes a mesh, for the CPU, by another process while a training keeps the GPU busy.

    python -m systems.training.finishing_ahead < experiment

takes a pickled experiment, and exports a ball as its settings ask for; the functions that this compiles stay in Numba's
cache."""

import atexit
import hashlib
import importlib
import logging
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from systems.auto_radius import asks_for_radius, with_radius
from systems.configs import Experiment
from systems.training.devices import Devices
from systems.training.rehearsal import small
from utils import registry
from utils.cameras import Camera
from utils.mesh import Mesh
from utils.mesh.stand import Stand
from utils.numba_cache import cache_folder
from utils.platforms import apart, num_cores
from utils.registry import ROOT

log = logging.getLogger(__name__)
LEAST_CORES = 4  # of a machine that has some to spare
REST = 5e-3  # seconds before each module that is imported
TURN = 1e-4  # seconds for which a thread may keep the lock of the interpreter while another waits
_SIDE, _RESOLUTION, _TEXTURE = 64, 24, 64  # of the photographs and the mesh of a rehearsal
_PYRAMID = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])  # faces
_ROOMS = ("utils", "models", "systems/export", "systems/training")


class FinishingAhead(Callback):
    """Starts the process when the training begins, and ends it where that ends in an error."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment: Experiment | None = experiment
        self._process: subprocess.Popen | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Once: a later attempt of the same run finds it running or done."""
        if self._experiment is None:
            return
        command = [sys.executable, "-m", "systems.training.finishing_ahead"]
        nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        try:
            told = pickle.dumps(self._experiment)
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, **nowhere, **apart()
            )
            atexit.register(self.close)
            self._process.stdin.write(told)
            self._process.stdin.close()
        except (OSError, pickle.PicklingError) as error:
            log.debug("what finishes a mesh is not compiled ahead: %s", error)
        self._experiment = None

    def close(self, *args: Any) -> None:
        """Ends the process: nobody waits for it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    on_exception = close


class ImportingAhead(Callback):
    """Has a thread import what finishes a mesh, and read what of it is compiled, while the last steps keep the GPU busy
    and the checkpoint is written.

    It rests before each module, and takes short turns: an import keeps the interpreter from launching steps, of which
    the GPU has only some milliseconds in store."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment, self._thread, self._hurry = experiment, None, threading.Event()

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Begins at the last quarter of the steps."""
        if self._thread is None and trainer.global_step >= 0.75 * self._experiment.trainer.max_steps:
            self._thread = threading.Thread(target=self._work, name="importing", daemon=True)
            self._thread.start()

    def find_spec(self, *args: Any) -> None:
        """As a finder of modules that finds none, but is asked before others are: the rest before a module."""
        if threading.current_thread() is self._thread:
            self._hurry.wait(REST)

    def _work(self) -> None:
        usual = sys.getswitchinterval()
        sys.setswitchinterval(TURN)
        sys.meta_path.insert(0, self)
        try:
            with suppress(Exception):  # whoever uses it next meets the same error
                importlib.import_module("systems.report.page")
                importlib.import_module("systems.export.exporter")
                if _stamp(self._experiment).is_dir():
                    _finish_pyramid(self._experiment.export.formats)
        finally:
            sys.meta_path.remove(self)
            sys.setswitchinterval(usual)

    def on_test_start(self, *args: Any) -> None:
        """Before the mesh is extracted: two threads that import the same at once may see it half done."""
        if self._thread is not None:
            self._hurry.set()
            self._thread.join()


def _finish_pyramid(formats: Sequence[str]) -> None:
    """Numba reads what it has compiled when a function is first called."""
    from systems.export.exporter import small_mesh
    from utils.mesh.holes import boundary_loops
    from utils.mesh.measures import count_components, drop_floaters, vertex_normals

    corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    two = Mesh(np.concatenate([corners, corners + 2.0]), np.concatenate([_PYRAMID, _PYRAMID + 4]))
    mesh, _ = drop_floaters(two, 0.0, welded=True)
    boundary_loops(mesh)
    count_components(mesh)
    mesh = replace(small_mesh(mesh), normals=vertex_normals(mesh), colors=np.full((8, 3), 9, np.uint8))
    with tempfile.TemporaryDirectory() as folder:
        for name in formats:
            registry.find("exporter", name).target(mesh, Path(folder) / f"pyramid.{name}")


def finishing_ahead(experiment: Experiment, devices: Devices) -> tuple[Callback, ...]:
    """Callbacks for the trainer; () on a CPU, whose cores all train, and with few cores; what is compiled is imported
    alone."""
    if not devices.is_first or devices.own.type != "cuda" or num_cores() < LEAST_CORES:
        return ()
    importing = ImportingAhead(experiment)
    return (importing,) if _stamp(experiment).is_dir() else (FinishingAhead(experiment), importing)


def _stamp(experiment: Experiment) -> Path:
    """The folder, an empty one, that says that all is compiled: named by the sources and the settings."""
    found = hashlib.sha256(repr((experiment.export, registry.name_of(experiment.model), platform.node())).encode())
    for room in _ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            found.update(file.read_bytes())
    return cache_folder() / f"finishing-{found.hexdigest()[:20]}"


class _Views:
    """Photographs of a ball, white on black, from six sides."""

    ground, stand = None, Stand()

    def __init__(self, radius: float) -> None:
        self._radius = radius

    def __len__(self) -> int:
        return 6

    def camera(self, index: int) -> Camera:
        """A camera that looks along an axis at the origin."""
        forward = np.zeros(3, np.float32)
        forward[index // 2] = 1.0 - 2.0 * (index % 2)
        right = np.roll(forward, 1)
        c2w = np.stack([right, np.cross(forward, right), forward, -3.0 * self._radius * forward], axis=1)
        middle = _SIDE / 2
        return Camera(np.ascontiguousarray(c2w, np.float32), np.float32([_SIDE, _SIDE, middle, middle]), (_SIDE, _SIDE))

    def photograph(self, index: int) -> np.ndarray:
        """(64, 64, 4) uint8."""
        return np.full((_SIDE, _SIDE, 4), 255, np.uint8)

    photograph_to_show = photograph


def rehearse(experiment: Experiment, folder: Path) -> dict[str, Any]:
    """Exports a ball as an experiment's settings ask for; returns the report. In plain PyTorch on a CPU."""
    from systems.export.against_truth import compare_with_truth
    from systems.export.exporter import export_mesh
    from utils.mesh.files import read_mesh

    if asks_for_radius(experiment):
        experiment, _ = with_radius(experiment, 1.0, True)
    model = small(replace(experiment.model, backend="reference"))
    isosurface = replace(model.geometry.isosurface, resolution=_RESOLUTION, threshold=0.0)
    model = replace(model, geometry=replace(model.geometry, isosurface=isosurface), grid_prune=False)
    export = replace(experiment.export, texture_size=_TEXTURE, material="baked")
    experiment, built = replace(experiment, model=model, export=export), registry.build(model)
    sign, reach = 1.0 if built.is_sdf else -1.0, 0.8 * built.config.radius

    def ball(points: Tensor) -> Tensor:
        return sign * (points.norm(dim=-1) - reach)

    built.field_value = ball
    report = export_mesh(built, experiment, folder / "ball", np.eye(4), lambda split: _Views(reach))
    if getattr(experiment.dataset, "gt_mesh", None) is not None:
        paths = [folder / name for name in report["files"]]
        report |= compare_with_truth(paths, read_mesh(paths[0]))
    return report


def main() -> None:
    """Rehearses what stdin holds, at a low priority."""
    if hasattr(os, "nice"):
        os.nice(10)
    torch.set_num_threads(1)
    experiment = pickle.load(sys.stdin.buffer)
    with tempfile.TemporaryDirectory() as folder:
        rehearse(experiment, Path(folder))
    _stamp(experiment).mkdir(parents=True, exist_ok=True)


if __name__ == "__main__":
    main()
