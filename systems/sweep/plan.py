"""Reads SWEEP.yaml: which scenes are trained with which variants, and the experiment of each of these tasks."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from systems.configs import Experiment, read_experiment
from systems.runs import RunFolder
from utils.config import compose, schema
from utils.config.difference import flatten
from utils.errors import ConfigError

ONLY = "default"  # the variant of a sweep that names none; it adds nothing to the names of tasks
_NAME = re.compile(r"\w[\w.+-]*", re.ASCII)  # of a folder
_PLACEHOLDER = re.compile(r"(?<!\$)\{(\w*)\}")  # {scene}, but not ${model.radius}
_FIXED = ("name", "trial_name")  # keys by which a run's folder is found again


@dataclass(frozen=True)
class Overrides:
    """Keys of a config, dotted or as blocks, with their values."""

    values: dict[str, Any] = field(default_factory=dict)  # by dotted key

    @classmethod
    def from_config(cls, value: Any, where: str) -> "Overrides":
        """Reads a block of keys. Raises ConfigError for anything else, and for keys that the sweep sets itself."""
        if not isinstance(value, dict | None):
            raise ConfigError(f"{where}: expected a block of keys such as trainer.max_steps: 5000, got {value!r}.")
        values = flatten({str(key): item for key, item in (value or {}).items()})
        for key in _FIXED:
            if key in values:
                raise ConfigError(f"{where}.{key}: is set by the sweep, to find its runs again. Leave it out.")
        return cls(values)

    def words(self, scene: str) -> list[str]:
        """key=value for launch.py, with the name of the scene in the place of {scene}."""
        return [f"{key}={_written(_filled(value, scene), key)}" for key, value in self.values.items()]


def _filled(value: Any, scene: str) -> Any:
    """The value with {scene} replaced in all its texts. Raises ConfigError for another placeholder."""
    if isinstance(value, list):
        return [_filled(item, scene) for item in value]
    if not isinstance(value, str):
        return value
    for name in _PLACEHOLDER.findall(value):
        if name != "scene":
            raise ConfigError(f"'{value}': unknown placeholder {{{name}}}; {{scene}} is the one that there is.")
    return _PLACEHOLDER.sub(scene, value)


def _written(value: Any, key: str) -> str:
    """A value so that the command line reads the same value back; text without quotes where that works."""
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        read = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]), resolve=False)["value"]
    except (OmegaConfBaseException, yaml.YAMLError, ValueError):
        read = None
    if read != value and not isinstance(value, str):
        raise ConfigError(f"{key}: {value!r} cannot be written on a command line. Put it into a config file.")
    return text if read == value else json.dumps(value)


@dataclass(frozen=True)
class Scenes:
    """Names of scenes, with what each of them sets."""

    overrides: dict[str, Overrides]

    @classmethod
    def from_config(cls, value: Any, where: str) -> "Scenes":
        """Reads a list of names, or a block of names and overrides. Raises ConfigError."""
        if isinstance(value, list):
            names = schema.convert(tuple[str, ...], value, where)
            found = dict.fromkeys(names, Overrides())
            if len(found) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise ConfigError(f"{where}: {twice} is there twice.")
        elif isinstance(value, dict):
            found = {str(name): Overrides.from_config(item, f"{where}.{name}") for name, item in value.items()}
        else:
            raise ConfigError(f"{where}: expected a list of names, or a block of names with keys; got {value!r}.")
        if not found:
            raise ConfigError(f"{where}: expected at least one scene, got none.")
        return cls(found)


@dataclass(frozen=True)
class Variant:
    """One way to train."""

    config: str | tuple[str, ...] | None = None  # in place of those of the sweep
    overrides: Overrides = field(default_factory=Overrides)


@dataclass(frozen=True)
class Sweep:
    """The whole of a SWEEP.yaml: every scene is trained with every variant and every seed."""

    name: str  # folder of its runs in exp/ and runs/
    config: str | tuple[str, ...]  # one or more files, merged in order
    scenes: Scenes
    overrides: Overrides = field(default_factory=Overrides)  # of all tasks
    variants: dict[str, Variant] = field(default_factory=lambda: {ONLY: Variant()})
    seeds: tuple[int, ...] | None = None  # None: the one that the config has
    evaluate: tuple[str, ...] = ()  # words for scripts/evaluate.py after each run, without --pred and --out

    def __post_init__(self) -> None:
        for where, names in (("name", [self.name]), ("scenes", self.scenes.overrides), ("variants", self.variants)):
            for name in names:
                if not _NAME.fullmatch(name):
                    raise ConfigError(
                        f"{where}: '{name}': expected letters, digits, '_', '.', '+' and '-': it names folders."
                    )
        if not self.variants or self.seeds == ():
            raise ConfigError(f"{'seeds' if self.variants else 'variants'}: expected at least one, got none.")


@dataclass(frozen=True)
class Task:
    """One scene with one variant and one seed, and where its run lies."""

    scene: str
    variant: str
    seed: int | None
    configs: tuple[str, ...]
    overrides: tuple[str, ...]  # key=value
    experiment: Experiment
    run: RunFolder
    evaluate: tuple[str, ...]

    @property
    def name(self) -> str:
        """What its folder is called."""
        return self.run.path.name


def read_sweep(path: Path) -> Sweep:
    """The sweep that a YAML file describes. Raises ConfigError, with file and line."""
    tree = compose.read_yaml(path)
    node = OmegaConf.to_container(tree, resolve=False)  # what is computed is computed in the config of each task
    try:
        return schema.parse(Sweep, node)
    except ConfigError as error:
        source = compose.Source(str(path), tree, path)
        raise ConfigError(f"{compose.origin([source], str(error).split(':')[0]) or f'{path}: '}{error}") from None


def make_tasks(sweep: Sweep, overrides: Sequence[str], exp_dir: Path) -> list[Task]:
    """All tasks, those of one scene side by side, with their experiments checked. Raises ConfigError.

    overrides: key=value of the command line; they may hold {scene} too."""
    tasks = list(_tasks(sweep, overrides, exp_dir))
    folders: dict[str, Task] = {}
    settings: dict[str, Task] = {}
    for task in tasks:
        if (other := folders.setdefault(task.name, task)) is not task:
            raise ConfigError(
                f"{task.scene} with {task.variant} and {other.scene} with {other.variant} would share the folder "
                f"{task.name}. Rename one of them."
            )
        same = repr(replace(task.experiment, trial_name=None))
        if (other := settings.setdefault(same, task)) is not task:
            raise ConfigError(
                f"{other.name} and {task.name} have the same settings. Scenes differ by {{scene}} in a value under "
                "overrides, such as dataset.scene: '{scene}', or by keys of their own; variants by theirs."
            )
    return tasks


def _tasks(sweep: Sweep, overrides: Sequence[str], exp_dir: Path) -> Iterator[Task]:
    for (scene, own), (variant, how), seed in product(
        sweep.scenes.overrides.items(), sweep.variants.items(), sweep.seeds or (None,)
    ):
        parts = [scene, *([variant] if variant != ONLY else []), *([f"seed{seed}"] if seed is not None else [])]
        name = "-".join(parts)
        paths = how.config or sweep.config
        configs = (paths,) if isinstance(paths, str) else paths
        try:
            words = [word for part in (sweep.overrides, own, how.overrides) for word in part.words(scene)]
            words += [_filled(word, scene) for word in overrides]
            words += [f"seed={seed}"] if seed is not None else []
            words += [f"name={_written(sweep.name, 'name')}", f"trial_name={_written(name, 'name')}"]
            experiment = read_experiment(configs, words)
            evaluate = tuple(_filled(word, scene) for word in sweep.evaluate)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None
        run = RunFolder(exp_dir / sweep.name / name)
        yield Task(scene, variant, seed, configs, tuple(words), experiment, run, evaluate)
