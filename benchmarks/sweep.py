"""How time per step and memory depend on the sample budget of a step and on the number of grid levels."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import common
from benchmarks.common import progress, rounded
from benchmarks.experiments import train, with_all_levels
from benchmarks.recorder import Plan, Recorder
from models.network_configs import HashGridConfig
from systems.configs import Experiment, read_experiment

BUDGETS = tuple(2**power for power in range(16, 21))
LEVELS = (8, 10, 12, 14, 16)
STEPS = 400
QUICK_STEPS = 8


def settings_of(experiment: Experiment, quick: bool) -> list[tuple[str, int, list[str]]]:
    """What is varied, its value, and the overrides that set it; quick: two budgets below the experiment's own.

    Rays grow with the budget, in number and in their largest number, so that it is as full as the experiment's own.
    Levels are varied for hash grids only, and all open."""
    model = experiment.model
    own = model.train_num_rays * model.num_samples_per_ray
    found = []
    for budget in (own // 2, own) if quick else BUDGETS:
        rays = max(1, budget // model.num_samples_per_ray)
        largest = max(rays, model.max_train_num_rays * budget // own)
        overrides = [f"model.train_num_rays={rays}", f"model.max_train_num_rays={largest}"]
        found.append(("samples", rays * model.num_samples_per_ray, overrides))
    if isinstance(model.geometry.xyz_encoding_config, HashGridConfig) and not quick:
        key = "model.geometry.xyz_encoding_config.n_levels"
        found += [("n_levels", levels, [f"{key}={levels}"]) for levels in LEVELS]
    return found


def run_sweep(
    paths: Sequence[str | Path], overrides: Sequence[str], device: torch.device, quick: bool, deadline: float | None
) -> list[dict[str, Any]]:
    """One row per setting: what was varied, its value, ms per step, peak memory, how full the budget was.

    The first half of the steps warms up. A setting that does not fit the GPU says so in `failed`; none begins after
    the deadline, on the clock of time.monotonic."""
    rows = []
    for name, value, own in settings_of(read_experiment(paths, overrides), quick):
        if deadline is not None and time.monotonic() > deadline:
            break
        progress(f"sweep: {name} = {value}")
        rows.append({"varied": name, "value": value, **_measure(paths, [*overrides, *own], device, quick)})
    return rows


def _measure(
    paths: Sequence[str | Path], overrides: Sequence[str], device: torch.device, quick: bool
) -> dict[str, Any]:
    experiment = with_all_levels(read_experiment(paths, overrides))
    steps = min(QUICK_STEPS if quick else STEPS, experiment.trainer.max_steps)
    logged = replace(experiment.trainer, log_every_n_steps=max(1, steps // 4))
    recorder = Recorder(Plan(steps, frozenset(), 0, max(1, steps // 40), steps // 2), device)
    common.forget(device)
    try:
        train(replace(experiment, trainer=logged), device, [recorder])
    except torch.OutOfMemoryError:
        return {"failed": "out of GPU memory"}
    kept = ("ms_per_step", "samples", "rays", "peak_gpu_allocated_mib", "peak_gpu_reserved_mib")
    row = {name: recorder.report[name] for name in kept if name in recorder.report}
    budget = experiment.model.train_num_rays * experiment.model.num_samples_per_ray
    return row | {"budget_filled": None if row["samples"] is None else rounded(row["samples"] / budget)}
