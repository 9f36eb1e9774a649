"""Reads SWEEP.yaml and makes its tasks: each scene with each variant and seed, with the experiment of each."""

import json
import os
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
from utils.config.text_keys import text_keys
from utils.errors import ConfigError
from utils.registry import ROOT

DEFAULT_VARIANT = "default"  # used if a sweep names no variants; not part of the names of tasks
_NAME = re.compile(r"\w[\w.+-]*", re.ASCII)  # valid folder names
_PLACEHOLDER = re.compile(r"(?<!\$)\{(\w*)\}")  # {scene}, but not ${model.radius}
_Paths = str | tuple[str, ...]
_IS_TEXT = text_keys(Experiment)
_FIXED = ("name", "trial_name")  # keys by which a run's folder is found again


@dataclass(frozen=True)
class Overrides:
    """Keys of a config, dotted or as blocks, with their values."""

    values: dict[str, Any] = field(default_factory=dict)  # by dotted key

    @classmethod
    def from_config(cls, value: Any, where: str) -> "Overrides":
        """Reads a block of keys. Raises ConfigError if it is not one, or has keys that the sweep sets itself."""
        if not isinstance(value, dict | None):
            raise ConfigError(f"{where}: expected a block of keys such as trainer.max_steps: 5000, got {value!r}.")
        values = flatten({str(key): item for key, item in (value or {}).items()})
        for key in _FIXED:
            if key in values:
                raise ConfigError(f"{where}.{key}: the sweep sets this key, to find its runs again. Leave it out.")
        return cls(values)

    def arguments(self, scene: str) -> list[str]:
        """key=value for the command line of launch.py, with {scene} replaced by the name of the scene."""
        return [f"{key}={_as_argument(_fill_scene(value, scene), key)}" for key, value in self.values.items()]


def _fill_scene(value: Any, scene: str) -> Any:
    """The value with {scene} replaced in all its texts. Raises ConfigError for another placeholder."""
    if isinstance(value, list):
        return [_fill_scene(item, scene) for item in value]
    if not isinstance(value, str):
        return value
    for name in _PLACEHOLDER.findall(value):
        if name != "scene":
            raise ConfigError(f"'{value}': unknown placeholder {{{name}}}; the only one is {{scene}}.")
    return _PLACEHOLDER.sub(scene, value)


def _as_argument(value: Any, key: str) -> str:
    """A value as text that the command line reads back as the same value; text stays without quotes if possible."""
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        read = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]), resolve=False)["value"]
    except (OmegaConfBaseException, yaml.YAMLError, ValueError):
        read = None
    if read != value and not isinstance(value, str):
        raise ConfigError(f"{key}: a command line cannot hold {value!r}. Put it into a config file.")
    return text if read == value else json.dumps(value)


@dataclass(frozen=True)
class Scenes:
    """Names of scenes, the overrides of each, and the configs of those that have their own."""

    overrides: dict[str, Overrides]
    configs: dict[str, _Paths] = field(default_factory=dict)  # in place of those of the sweep

    @classmethod
    def from_config(cls, value: Any, where: str) -> "Scenes":
        """Reads a list of names, or a block of names and overrides, with `config` among them. Raises ConfigError."""
        configs: dict[str, _Paths] = {}
        if isinstance(value, list):
            names = schema.convert(tuple[str, ...], value, where)
            scenes = dict.fromkeys(names, Overrides())
            if len(scenes) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise ConfigError(f"{where}: expected each scene once, got {twice} twice. Remove one of them.")
        elif isinstance(value, dict):
            blocks = {str(name): dict(item) if isinstance(item, dict) else item for name, item in value.items()}
            for name, item in blocks.items():
                if isinstance(item, dict) and "config" in item:
                    configs[name] = schema.convert(_Paths, item.pop("config"), f"{where}.{name}.config")
            scenes = {name: Overrides.from_config(item, f"{where}.{name}") for name, item in blocks.items()}
        else:
            raise ConfigError(f"{where}: expected a list of names, or a block of names with keys; got {value!r}.")
        if not scenes:
            raise ConfigError(f"{where}: expected at least one scene, got none.")
        return cls(scenes, configs)


@dataclass(frozen=True)
class Variant:
    """One way to train."""

    config: _Paths | None = None  # replaces those of the sweep and of scenes; None keeps them
    presets: tuple[str, ...] = ()  # files that are merged after the configs
    overrides: Overrides = field(default_factory=Overrides)


@dataclass(frozen=True)
class Sweep:
    """The content of SWEEP.yaml: every scene is trained with every variant and every seed."""

    name: str  # folder of its runs in exp/ and runs/
    config: _Paths  # one or more files, merged in order
    scenes: Scenes
    overrides: Overrides = field(default_factory=Overrides)  # of all tasks
    variants: dict[str, Variant] = field(default_factory=lambda: {DEFAULT_VARIANT: Variant()})
    seeds: tuple[int, ...] | None = None  # None: the seed of the config
    evaluate: tuple[str, ...] = ()  # arguments for scripts/evaluate.py after each run, without --pred and --out

    def __post_init__(self) -> None:
        for where, names in (("name", [self.name]), ("scenes", self.scenes.overrides), ("variants", self.variants)):
            for name in names:
                if not _NAME.fullmatch(name):
                    raise ConfigError(
                        f"{where}: '{name}': expected letters, digits, '_', '.', '+' and '-', since it names a folder."
                    )
        if not self.variants or self.seeds == ():
            raise ConfigError(f"{'seeds' if self.variants else 'variants'}: expected at least one, got none.")


@dataclass(frozen=True)
class Task:
    """One scene with one variant and one seed, and the folder of its run."""

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
        """The name of its folder."""
        return self.run.path.name


def read_sweep(path: Path) -> Sweep:
    """The sweep in a YAML file. Raises ConfigError, with file and line."""
    if not path.exists() and (found := ROOT / "configs/sweeps" / f"{path.name}.yaml").is_file():
        raise ConfigError(f"{path}: no such file. Did you mean '{os.path.relpath(found)}'?")
    tree = compose.read_yaml(path, _is_text)
    node = OmegaConf.to_container(tree, resolve=False)  # ${...} is resolved in the config of each task
    if "scenes" not in node and {"dataset", "model", "defaults"} & set(node):
        hint = f"python launch.py --config {path} --train"
        raise ConfigError(f"{path}: is the config of one training, and a sweep has scenes. To train it: {hint}")
    try:
        return schema.parse(Sweep, node)
    except ConfigError as error:
        source = compose.Source(str(path), tree, path)
        raise ConfigError(f"{compose.origin([source], str(error).split(':')[0]) or f'{path}: '}{error}") from None


def _is_text(parts: tuple[str, ...]) -> bool | None:
    """Whether a key of SWEEP.yaml, by the names that lead to it, takes text: True, None with null too, or False."""
    match parts:
        case ("name" | "config" | "scenes" | "evaluate",) | ("scenes", _, "config"):
            return True
        case ("variants", _, "config" | "presets"):
            return None
        case ("overrides", *key) | ("scenes", _, *key) | ("variants", _, "overrides", *key) if key:
            return _IS_TEXT(".".join(key))
    return False


def make_tasks(sweep: Sweep, overrides: Sequence[str], exp_dir: Path) -> list[Task]:
    """All tasks, scene after scene, with their experiments checked. Raises ConfigError.

    overrides: key=value of the command line; they may contain {scene} too."""
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
    for (scene, scene_overrides), (variant_name, variant), seed in product(
        sweep.scenes.overrides.items(), sweep.variants.items(), sweep.seeds or (None,)
    ):
        parts = [scene]
        parts += [variant_name] if variant_name != DEFAULT_VARIANT else []
        parts += [f"seed{seed}"] if seed is not None else []
        name = "-".join(parts)
        paths = variant.config or sweep.scenes.configs.get(scene, sweep.config)
        configs = (*((paths,) if isinstance(paths, str) else paths), *variant.presets)
        try:
            layers = sweep.overrides, scene_overrides, variant.overrides
            arguments = [argument for layer in layers for argument in layer.arguments(scene)]
            arguments += [_fill_scene(argument, scene) for argument in overrides]
            arguments += [f"seed={seed}"] if seed is not None else []
            arguments += [f"name={_as_argument(sweep.name, 'name')}", f"trial_name={_as_argument(name, 'name')}"]
            experiment = read_experiment(configs, arguments)
            evaluate = tuple(_fill_scene(argument, scene) for argument in sweep.evaluate)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None
        run = RunFolder(exp_dir / sweep.name / name)
        yield Task(scene, variant_name, seed, configs, tuple(arguments), experiment, run, evaluate)
