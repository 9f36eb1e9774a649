"""Long work in a process of its own, which says as lines of JSON what it holds in the meantime.

    python -m benchmarks.endurance steps FOLDER STEPS GPU

FOLDER has the scene; what is done lies beside it."""

import contextlib
import gc
import io
import json
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.footprint import NOTES, footprint, mib, status
from benchmarks.tables import Json
from datasets.datamodule import SceneData
from systems.configs import read_experiment
from systems.steps.step import TrainingStep
from systems.training.devices import pick_device
from utils.registry import ROOT

Say = Callable[[Json], None]
CONFIG = "configs/neus-demo.yaml"
BEGIN, MORE = 24, 2  # steps of a run before it is resumed, and of each time
SMALL = [
    *("dataset.gt_mesh=null", "trainer.enable_progress_bar=false", "system.warmup_steps=10", "export.report=false"),
    *("checkpoint.save_top_k=1", "model.train_num_rays=2", "model.max_train_num_rays=8"),
    *("model.num_samples_per_ray=16", "model.texture.dir_encoding_config.degree=1"),
    *("model.grid_resolution=16", "model.grid_update_every=64", "model.geometry.isosurface.resolution=32"),
    *("model.geometry.xyz_encoding_config.n_levels=2", "model.geometry.xyz_encoding_config.log2_hashmap_size=10"),
    *("model.geometry.mlp_network_config.n_neurons=16", "model.geometry.mlp_network_config.weight_norm=false"),
    *("model.texture.mlp_network_config.n_neurons=16", "model.texture.mlp_network_config.n_hidden_layers=1"),
]


class Place:
    """Where a part works, and launch.py."""

    def __init__(self, folder: Path, gpu: str) -> None:
        self.scene, self.exp, self.runs, self.gpu = folder / "scene", folder / "exp", folder / "runs", gpu
        self._main = runpy.run_path(str(ROOT / "launch.py"))["main"]

    def begin(self, *overrides: str) -> None:
        """A run from its beginning; raises RuntimeError where it fails."""
        self._launch("--config", CONFIG, "--exp_dir", str(self.exp), f"dataset.root_dir={self.scene}", *overrides)

    def resume(self, *overrides: str) -> None:
        """Goes on with the run; raises RuntimeError where it fails."""
        (run,) = self.exp.glob("*/*")
        self._launch("--resume", str(run), *overrides)

    def _launch(self, *argv: str) -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = self._main([*argv, "--train", "--gpu", self.gpu, "--runs_dir", str(self.runs)])
        if code != 0:
            raise RuntimeError(f"launch.py ended with {code}: {said.getvalue()}")

    def note(self) -> Json:
        """What is held now."""
        return footprint(self.exp, self.runs)


def steps(place: Place, number: int, say: Say) -> None:
    """One long training; says what is held after the first step and after each part of the whole."""
    run, every = TrainingStep.run, max(1, number // NOTES)

    def noted(step: TrainingStep, index: int) -> Any:
        done = run(step, index)
        if index == 0 or (index + 1) % every == 0:
            say({"steps": index + 1, **place.note()})
        return done

    TrainingStep.run = noted  # in this process, which does nothing else
    place.begin(
        *SMALL,
        f"trainer.max_steps={number}",
        "trainer.log_every_n_steps=100",
        f"trainer.val_check_interval={max(1, number // (2 * NOTES))}",
        "trainer.save_every_minutes=1",
        f"checkpoint.every_n_train_steps={max(1, number // 100)}",
    )


def cycles(place: Place, number: int, say: Say) -> None:
    """A run that is resumed again and again, test pass included; says what is held after the first time and others."""
    settings = ("trainer.log_every_n_steps=1", "trainer.val_check_interval=2", "checkpoint.every_n_train_steps=2")
    place.begin(*SMALL, *settings, f"trainer.max_steps={BEGIN}")
    every = max(1, number // NOTES)
    for cycle in range(1, number + 1):
        place.resume(f"trainer.max_steps={BEGIN + MORE * cycle}")
        if cycle == 1 or cycle % every == 0:
            gc.collect()  # a trainer and its module hold each other
            say({"cycles": cycle, **place.note()})


def images(place: Place, number: int, say: Say) -> None:
    """Opens a scene of so many photographs as a training does; says the time, the pixels and the most memory."""
    config = read_experiment([CONFIG], [f"dataset.root_dir={place.scene}", *SMALL])
    device = pick_device(place.gpu)
    held = status("VmRSS")
    started = time.perf_counter()
    data = SceneData(config.dataset, not config.model.batch_image_sampling, 1, config.model.backend)
    data.views("train", device)
    seconds = time.perf_counter() - started
    scene = data.scene("train")
    assert len(scene) == number
    figures = {"seconds": round(seconds, 3), "pixels_mib": mib([scene.pixels.nbytes])}
    figures |= {"before_mib": mib([1024 * held]), "after_mib": mib([1024 * status("VmRSS")])}
    say({"images": number, **figures, "peak_mib": mib([1024 * status("VmHWM")])})


PARTS = {"steps": steps, "cycles": cycles, "images": images}


def main(part: str, folder: str, number: str, gpu: str) -> None:
    """Does a part so often."""
    out = sys.stdout

    def say(figures: Json) -> None:
        print(json.dumps(figures), file=out, flush=True)

    PARTS[part](Place(Path(folder), gpu), int(number), say)


if __name__ == "__main__":
    main(*sys.argv[1:])
