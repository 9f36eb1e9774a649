"""What is about to happen, in a few lines: experiment, photographs, model, device, steps, and where results go."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from systems.configs import Experiment
from systems.runs import RunFolder
from utils import registry
from utils.environment import device_name

_USES = {"train": "to train on", "val": "to validate", "test": "to test"}


class Photographed(Protocol):
    """A split of a scene."""

    name: str
    sizes: np.ndarray  # (N, 2), width and height

    def __len__(self) -> int: ...


def opening(
    experiment: Experiment,
    scenes: Mapping[str, Photographed],
    model: torch.nn.Module,
    device: torch.device,
    work: str,
    run: RunFolder,
    board: Path,
) -> list[str]:
    """The lines; scenes: the splits in use; work: what will be done; board: where TensorBoard finds the run."""
    names = {part: registry.name_of(getattr(experiment, part)) for part in ("model", "dataset")}
    size = sum(parameter.numel() for parameter in model.parameters())
    threads = "" if device.type == "cuda" else f", {torch.get_num_threads()} threads"
    return [
        f"experiment: {experiment.name}, {names['model']} on {names['dataset']}",
        f"dataset:    {describe_photographs(scenes)}",
        f"model:      {names['model']}, {size:,} parameters",
        f"device:     {device_name(device)}{threads}",
        f"steps:      {work}",
        f"results:    {run.path}, curves and pictures in {board}",
    ]


def describe_photographs(scenes: Mapping[str, Photographed]) -> str:
    """Name, numbers of views and sizes of the splits."""
    counts = ", ".join(f"{len(scene)} {_USES[split]}" for split, scene in scenes.items())
    sizes = np.concatenate([scene.sizes for scene in scenes.values()])
    order = np.argsort(sizes.prod(axis=1), kind="stable")
    least, most = (f"{width}x{height}" for width, height in sizes[order[[0, -1]]])
    name, size = next(iter(scenes.values())).name, least if least == most else f"{least} to {most}"
    return f"{name}, views: {counts}; {size} pixels"


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
