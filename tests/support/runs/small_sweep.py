"""A sweep of two scenes with two variants, and what its runs leave behind, without any training."""

import json
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from systems.sweep.plan import Task, make_tasks, read_sweep
from utils.config import schema

TEXT = """
name: pair
config: configs/neus-demo.yaml
scenes: [cow, pig]
overrides:
  dataset.root_dir: ROOT/{scene}
  trainer: {max_steps: 200}
variants:
  plain: {}
  wide: {overrides: {model.radius: 1.3}}
"""


def write_sweep(folder: Path, more: str = "", text: str = TEXT, scenes: tuple[str, ...] = ("cow", "pig")) -> Path:
    """Writes SWEEP.yaml and empty folders of scenes; returns the path. more: keys at its end."""
    for scene in scenes:
        (folder / "data" / scene).mkdir(parents=True, exist_ok=True)
    path = folder / "sweep.yaml"
    path.write_text(text.replace("ROOT", str(folder / "data")) + more, encoding="utf-8")
    return path


def tasks_of(path: Path, *overrides: str) -> dict[str, Task]:
    """The tasks by name; their runs lie beside the file, in exp/."""
    return {task.name: task for task in make_tasks(read_sweep(path), overrides, path.parent / "exp")}


def begin(task: Task) -> None:
    """Leaves what an interrupted run does."""
    task.run.parsed_config.parent.mkdir(parents=True, exist_ok=True)
    task.run.parsed_config.write_text(OmegaConf.to_yaml(schema.to_dict(task.experiment)), encoding="utf-8")


def finish(task: Task, **metrics: Any) -> None:
    """Leaves what a finished run does; metrics: beside the step, in metrics.json."""
    begin(task)
    task.run.save.mkdir(exist_ok=True)
    figures = {"steps": task.experiment.trainer.max_steps, **metrics}
    (task.run.save / "metrics.json").write_text(json.dumps(figures), encoding="utf-8")
