"""Experiments for the benchmarks: read and trained as launch.py does it, and models from their checkpoints."""

import logging
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from pytorch_lightning.callbacks import Callback

from datasets.datamodule import SceneData
from models.base import VolumeModel
from models.network_configs import ProgressiveBandHashGridConfig
from systems.configs import Experiment, read_experiment
from systems.runs import RunFolder, find_checkpoint, run_of
from systems.runs.checkpoints import load_weights
from systems.training.devices import Devices
from systems.training.trainer import make_trainer
from utils import registry
from utils.config import schema
from utils.errors import CheckpointError
from utils.interrupts import Interrupts


def load_trained(path: Path, overrides: Sequence[str], device: torch.device) -> tuple[Experiment, VolumeModel, int]:
    """Experiment, model on the device and step of a checkpoint or a run's newest one. Raises CheckpointError."""
    checkpoint = find_checkpoint(path)
    run = run_of(checkpoint)
    if run is None:
        raise CheckpointError(f"--resume {path}: no config/parsed.yaml beside it. Give a run's folder under exp/.")
    experiment = read_experiment([run.parsed_config], overrides)
    system = registry.build(experiment.system, experiment, registry.build(experiment.model), run.save)
    step = load_weights(checkpoint, system, system.expect)
    system.model.on_step(step)
    return experiment, system.model.to(device), step


def with_all_levels(experiment: Experiment) -> Experiment:
    """The experiment with all levels of the grid open from the first step on, as a steady step has them."""
    model = experiment.model
    grid = model.geometry.xyz_encoding_config
    if not isinstance(grid, ProgressiveBandHashGridConfig):
        return experiment
    geometry = replace(model.geometry, xyz_encoding_config=replace(grid, start_level=grid.n_levels))
    return replace(experiment, model=replace(model, geometry=geometry))


def train(experiment: Experiment, device: torch.device, callbacks: Sequence[Callback]) -> None:
    """Trains as `launch.py --train` does, without the test pass, in a folder that is removed afterwards.

    The callbacks come before those of the trainer, so that they see a step before its checkpoint is written. The
    validation passes are left out: a benchmark evaluates on its own, with its clock stopped."""
    experiment = replace(experiment, trainer=replace(experiment.trainer, save_every_minutes=0.0))
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torch.optim")
    model, views = experiment.model, experiment.trainer.limit_val_batches
    data = SceneData(experiment.dataset, not model.batch_image_sampling, views, model.backend)
    for split in ("train", "val", "test"):
        data.scene(split)  # all of them, as launch.py does before it trains
    torch.manual_seed(experiment.seed)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        run = RunFolder(Path(folder) / "exp" / experiment.name / "benchmark")
        system = registry.build(experiment.system, experiment, registry.build(experiment.model), run.save)
        run.create("", schema.to_dict(experiment))
        trainer = make_trainer(experiment, run, Path(folder) / "runs", Devices.single(device), Interrupts())
        trainer.limit_val_batches = 0
        trainer.callbacks[:0] = callbacks
        system.to(device)
        trainer.fit(system, datamodule=data)
