"""Logs what a run is about to do, in a few lines: experiment, photographs, model, device, steps, folder of results."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from models import ops
from models.ops.cards import describe
from systems.configs import Experiment
from systems.runs import RunFolder
from systems.training.duration import describe_duration
from systems.training.reconstruction import ReconstructionSystem
from utils import registry
from utils.environment import device_name
from utils.terminal.numbers import counted

log = logging.getLogger(__name__)
_USES = {"train": "to train on", "val": "to validate", "test": "to test"}


class SceneSplit(Protocol):
    """The photographs of one split of a scene."""

    name: str
    sizes: np.ndarray  # (N, 2), width and height

    @property
    def has_alpha(self) -> bool: ...

    def __len__(self) -> int: ...


def announce(
    experiment: Experiment,
    mode: str,
    scenes: Mapping[str, SceneSplit],
    system: ReconstructionSystem,
    run: RunFolder,
    board: Path,
) -> None:
    """Logs what a mode of the command line is about to do.

    scenes: the splits in use, by name; system: with its weights, on its device; board: the TensorBoard folder of the
    run."""
    model, dataset = registry.name_of(experiment.model), registry.name_of(experiment.dataset)
    size = sum(parameter.numel() for parameter in system.model.parameters())
    threads = "" if system.device.type == "cuda" else f", {counted(torch.get_num_threads(), 'thread')}"
    log.info("experiment: %s, %s on %s", experiment.name, model, dataset)
    log.info("dataset:    %s; %s", describe_photographs(scenes), describe_extent(scenes))
    if num := system.model.num_lightings:
        log.info("light:      %s", describe_light(num))
    log.info("model:      %s, %s parameters", model, f"{size:,}")
    log.info("device:     %s%s", device_name(system.device), threads)
    if system.device.type == "cuda" and ops.uses_triton(experiment.model.backend, next(system.model.parameters())):
        log.info("kernels:    %s", describe_kernels(mode, experiment, system.current_step, system.device))
    log.info("steps:      %s", describe_work(mode, experiment, system.current_step))
    log.info("results:    %s, curves and pictures in %s", run.path, board)


def describe_photographs(scenes: Mapping[str, SceneSplit]) -> str:
    """The name of the scene, the number of views in each split, and the image sizes."""
    counts = ", ".join(f"{len(scene)} {_USES[split]}" for split, scene in scenes.items())
    sizes = np.concatenate([scene.sizes for scene in scenes.values()])
    order = np.argsort(sizes.prod(axis=1), kind="stable")
    smallest, largest = (f"{width}x{height}" for width, height in sizes[order[[0, -1]]])
    name = next(iter(scenes.values())).name
    size = smallest if smallest == largest else f"{smallest} to {largest}"
    return f"{name}, views: {counts}; {size} pixels"


def describe_extent(scenes: Mapping[str, SceneSplit]) -> str:
    """Whether masks, or alpha, tell the object from what lies around it, and how much they say not to look at."""
    masked = any(scene.has_alpha for scene in scenes.values())
    told = "masks: the object alone is trained" if masked else "no masks: the whole scene is trained"
    kept = [getattr(scene, "kept", None) for scene in scenes.values()]  # (P,) bool, or None where all are
    kept = [pixels for pixels in kept if pixels is not None]
    if not kept:
        return told
    told = told if masked else "masks: the whole scene is trained"
    share = 1.0 - sum(map(np.count_nonzero, kept)) / sum(map(len, kept))
    return f"{told}, but for {share:.1%} of the pixels, where they say not to look"


def describe_light(num: int) -> str:
    """How many lightings the photographs were taken in, of an object that was moved."""
    how_often = "one lighting" if num == 1 else f"{num} lightings"
    return f"lamps stood still while the object was moved: {how_often} of lighting.json"


def describe_kernels(mode: str, experiment: Experiment, step: int, device: torch.device) -> str:
    """What Triton's kernels do on a card and, for a training from a step on, about how long."""
    does = describe(device, experiment.trainer.precision == "16")
    lasts = describe_duration(experiment, step, device) if mode == "train" else ""
    return f"{does}; {lasts}" if lasts else does


def describe_work(mode: str, experiment: Experiment, step: int) -> str:
    """What a mode of the command line does with a model at a step."""
    last, every = experiment.trainer.max_steps, experiment.trainer.val_check_interval
    validated = f"validation views every {every}, " if every <= last else ""
    return {
        "train": f"from {step} to {last}, {validated}then test views, video and mesh",
        "validate": f"none; renders validation views at step {step}",
        "test": f"none; renders test views at step {step}, then video and mesh",
        "predict": f"none; renders an orbit at step {step}",
    }[mode]
