"""Measures your card in about two minutes, beside what is estimated for it: steps, compiling, memory and a mesh.

    python -m benchmarks.mine

Trains a NeuS and a NeRF on the bundled scene with the batches that ship, for some hundred steps, and takes a mesh.
Nothing is downloaded or sent; the JSON file names the card, versions and figures, neither you nor your machine."""

import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from benchmarks import common
from benchmarks.common import Result, progress, rounded, spread, synchronise
from benchmarks.experiments import train, with_all_levels
from benchmarks.export import time_mesh, with_peaks
from benchmarks.recorder import StepTimes
from benchmarks.tables import number
from models.base import VolumeModel
from models.ops.cards import card_of
from models.ops.roofline import Specs, specs_of
from systems.configs import Experiment, read_experiment
from systems.training.duration import step_milliseconds
from utils.environment import peak_memory
from utils.errors import ReconstructionError
from utils.memory import free_memory, is_out_of_memory
from utils.registry import ROOT

TRAININGS = {"neus": "neus-blender", "nerf": "nerf-blender"}  # name in the JSON: config
SCENE = [f"dataset.root_dir={ROOT / 'load' / 'spot'}", "dataset.scene=spot", "trainer.enable_progress_bar=false"]
SEND = 'To tell us: a new issue, "How fast is it on my card?", where you found PhotoSurf, with what is in the file.'


FULL = {"failed": "out of memory"}
T = TypeVar("T")


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    steps: int
    window: int  # steps over which a time is taken
    warm: int  # steps that do not count for it
    first: int  # steps during which kernels are compiled
    seconds: float  # after the first steps, at most
    resolution: int  # lattice points of the mesh along a side
    overrides: tuple[str, ...] = ()


ON_GPU = Size(600, 20, 200, 20, 40.0, 512)
ON_CPU = Size(200, 1, 4, 2, 20.0, 128)
QUICK = Size(
    *(12, 2, 4, 2, 10.0, 24),
    (
        "model.num_samples_per_ray=64",
        "model.train_num_rays=32",
        "model.max_train_num_rays=256",
        "model.grid_resolution=16",
        "model.geometry.xyz_encoding_config.log2_hashmap_size=10",
    ),
)


class Watch(Callback):
    """Times the steps of a training and ends it; keeps the model."""

    def __init__(self, size: Size, device: torch.device) -> None:
        self.size, self.device = size, device
        self.times = StepTimes(device, size.window, size.warm)
        self.model: VolumeModel | None = None
        self._begun: float | None = None
        self._compiled = 0.0  # seconds at the end of the first steps

    def on_train_batch_start(self, trainer: pl.Trainer, system: pl.LightningModule, *args: Any) -> None:
        """Starts the clock in front of the first step; asks to see those that count."""
        if self._begun is None:
            system.at_once = math.gcd(system.at_once, self.size.first, self.size.window, self.size.steps)
            synchronise(self.device)
            self._begun = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, system: pl.LightningModule, *args: Any) -> None:
        """Marks the step; ends the training after the last one, or when its time is over."""
        step = trainer.global_step
        self.times.mark(step)
        if step == self.size.first:
            synchronise(self.device)
            self._compiled = time.perf_counter() - self._begun
            progress(f"  step {step} after {self._compiled:.1f} s")
        late = time.perf_counter() - self._begun - self._compiled > self.size.seconds
        if step >= self.size.steps or (late and step > self.size.warm + self.size.window):
            trainer.should_stop = True
            self.model = system.model

    def figures(self) -> dict[str, Any]:
        """Milliseconds of a step, seconds of compiling what no training before it needed, peaks of memory in MiB."""
        step = spread(self.times.per_step())
        compiling = self._compiled - self.size.first * step["median"] / 1e3
        found = {"ms_per_step": step, "compile_seconds": rounded(max(compiling, 0.0)), **peak_memory(self.device)}
        if self.device.type == "cuda":
            found["peak_gpu_reserved_mib"] = round(torch.cuda.max_memory_reserved(self.device) / 2**20, 1)
        return found


def figures_of(experiment: Experiment, size: Size, device: torch.device) -> tuple[dict[str, Any], VolumeModel]:
    """What a training shows, beside its estimate where there is one; its model."""
    common.forget(device)
    watch = Watch(size, device)
    train(experiment, device, [watch])
    found, card = watch.figures(), specs_of(device)
    estimated = None if card is None else step_milliseconds(experiment, card)
    if estimated is not None:
        ratio = found["ms_per_step"]["median"] / estimated
        found |= {"estimated_ms_per_step": rounded(estimated), "measured_by_estimated": rounded(ratio)}
    return found, watch.model.to(device)  # Lightning leaves it on the CPU


def mesh_of(experiment: Experiment, model: VolumeModel, size: Size, device: torch.device) -> dict[str, Any]:
    """Seconds to take a mesh and write it, once its kernels are compiled."""
    common.forget(device)
    time_mesh(experiment, model, max(size.resolution // 8, 16), device)
    return with_peaks(lambda: time_mesh(experiment, model, size.resolution, device), device)


def card_figures(device: torch.device) -> dict[str, Any]:
    """What a card is, and the figures that its estimate is made of, as plain values; without a GPU the system alone."""
    found: dict[str, Any] = {"system": _system()}
    if device.type == "cuda":
        card, specs = card_of(device), specs_of(device)
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        found |= {"capability": card.target, "multiprocessors": card.multiprocessors, "memory_gib": rounded(memory)}
        found |= {"shared_memory_bytes": card.shared_memory, "specs": None if specs is None else _plain(specs)}
    return found


def _plain(specs: Specs) -> dict[str, Any]:
    return {name: rounded(value) if isinstance(value, float) else value for name, value in vars(specs).items()}


def _system() -> str:
    """The operating system, and whether it is WSL; no name of a machine or of a kernel that somebody built."""
    if platform.system() != "Linux":
        return f"{platform.system()} {platform.release()}"
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = "unknown distribution"
    return f"Linux, {name}{', WSL' if 'microsoft' in platform.release().lower() else ''}"


@contextmanager
def compiled_anew(wanted: bool) -> Iterator[None]:
    """Within it, Triton takes no kernels from before, as on a machine that sees the program for the first time."""
    before = os.environ.get("TRITON_CACHE_DIR")
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as folder:
        if wanted:
            os.environ["TRITON_CACHE_DIR"] = folder
        try:
            yield
        finally:
            if wanted and before is None:
                del os.environ["TRITON_CACHE_DIR"]
            elif wanted:
                os.environ["TRITON_CACHE_DIR"] = before


def summary(figures: dict[str, Any]) -> list[str]:
    """Lines of a small table for the terminal: measured, estimated, ratio."""
    rows = [("", "measured", "estimated", "ratio")]
    for name, config in TRAININGS.items():
        found = figures[name]
        if "failed" in found:
            rows.append((config, found["failed"], "", ""))
            continue
        estimate = [number(found.get(key), 3) for key in ("estimated_ms_per_step", "measured_by_estimated")]
        rows.append((f"{config}, ms a step", number(found["ms_per_step"]["median"]), *estimate))
        rows.append((f"{config}, compiling, s", number(found["compile_seconds"]), "", ""))
        rows.append(
            (f"{config}, memory, MiB", number(found.get("peak_gpu_memory_mib", found["peak_memory_mib"]), 4), "", "")
        )
    mesh = figures["mesh"]
    taken = mesh.get("failed") or number(mesh["seconds"])
    rows.append((f"mesh of {mesh['resolution']}³, s", taken, "", ""))
    return [f"{name:<28}{measured:>14}{estimated:>11}{ratio:>8}".rstrip() for name, measured, estimated, ratio in rows]


def measure(size: Size, device: torch.device, result: Result) -> dict[str, Any]:
    """All figures; each part is written when it is there. What memory does not suffice for is noted as failed."""
    found: dict[str, Any] = {}

    def note(name: str, part: dict[str, Any]) -> None:
        found[name] = part
        result.write(**found)

    for name, config in TRAININGS.items():
        progress(f"{config} on the bundled scene, up to {size.steps} steps; during the first ones kernels are compiled")
        experiment = with_all_levels(read_experiment([ROOT / f"configs/{config}.yaml"], [*SCENE, *size.overrides]))
        part, model = unless_full(figures_of, experiment, size, device) or (FULL, None)
        note(name, part)
        if name == "neus":
            progress(f"a mesh of {size.resolution}³")
            mesh = None if model is None else unless_full(mesh_of, experiment, model, size, device)
            note("mesh", {"resolution": size.resolution, **(mesh or FULL)})
        del model
        free_memory()
    return found


def unless_full(work: Callable[..., T], *args: Any) -> T | None:
    """What work gives; None where memory does not suffice for it."""
    try:
        return work(*args)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    return None


def work(argv: Sequence[str]) -> None:
    """Measures and writes. Raises ReconstructionError, with one line, where memory did not suffice for all of it."""
    args = common.Parser(
        "mine", "Measures your card, in about two minutes, beside what is estimated for it."
    ).parse_args(argv)
    device = common.chosen_device(args.device)
    size = QUICK if args.quick else ON_GPU if device.type == "cuda" else ON_CPU
    args.out = args.out or (None if args.quick else Path.cwd())
    told = ["--quick"] if args.quick else []  # of the command line; --out could tell a person's name
    anew = device.type == "cuda" and not args.quick
    result = Result("mine", "mine", device, args, told, card=card_figures(device), kernels_compiled_anew=anew)
    progress(
        f"{result.environment['device']}: two trainings and a mesh, about two minutes. Best with nothing beside it."
    )
    with compiled_anew(anew):
        figures = measure(size, device, result)
    progress("\n".join(summary(figures)))
    progress(SEND)
    print(result.path.resolve())
    failed = [name for name, part in figures.items() if "failed" in part]
    if failed:
        raise ReconstructionError(
            f"out of memory: {' and '.join(failed)} could not be measured here with the batch that ships. Close other "
            f"programs that use the {'card' if device.type == 'cuda' else 'memory'} and try again, or send the file "
            f"as it is: this too is a result. A training halves its batch by itself."
        )


if __name__ == "__main__":
    sys.exit(common.run_command(work))
