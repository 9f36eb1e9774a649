"""The configuration in a run's folder: as it was given, resolved, and what the program changed in it; free of torch.

    config/merged.yaml   all files and overrides of the command line, merged, with their interpolations
    config/applied.yaml  what the program changed while it trained, such as a seed after NaN
    config/parsed.yaml   both, resolved: what the newest training uses

A training that goes on reads the first two, so that what is computed from other keys follows them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from systems.configs import Experiment
from systems.runs import RunFolder
from utils.config import schema
from utils.config.compose import collect, resolve
from utils.config.difference import describe_changes, disagreements, flatten
from utils.config.resolvers import COUNTS_IN_FOLDER
from utils.config.sources import Source, plain
from utils.config.text import as_yaml
from utils.errors import ConfigError
from utils.files import flush_to_disk, replacing

log = logging.getLogger(__name__)
_NAMES_OF_FOLDER = ("name", "tag", "trial_name")
_FOR_A_START = (".init_val", ".sphere_init_radius")  # ends of keys that only a model that is not trained yet reads
_APPLIED_HEADER = "# Changed by the program while it trained. Overrides at a resume take precedence.\n"


def config_files(run: RunFolder) -> list[Path]:
    """The YAML files, in the order in which they merge, that a run goes on with.

    A run of an older version has the resolved file only."""
    if not run.merged_config.is_file():
        return [run.parsed_config]
    return [run.merged_config, *([run.applied_config] if run.applied_config.is_file() else [])]


def read_parsed(run: RunFolder) -> dict[str, Any]:
    """The resolved configuration of a run's newest training, as plain values. Raises ConfigError."""
    return resolve(collect([run.parsed_config]))


def read_applied(run: RunFolder) -> dict[str, Any]:
    """What the program changed while it trained, by dotted keys."""
    return _leaves(run.applied_config) if run.applied_config.is_file() else {}


def _leaves(path: Path) -> dict[str, Any]:
    return flatten(plain(collect([path])[0].tree))


def in_folder(run: RunFolder, experiment: Experiment, overrides: Sequence[str]) -> Experiment:
    """The experiment with the names that the folder of a run has, which goes on.

    Raises ConfigError where an override asks for other names."""
    parsed = read_parsed(run)
    names = {name: parsed.get(name, getattr(experiment, name)) for name in _NAMES_OF_FOLDER} | {
        "trial_name": run.path.name
    }
    for name, value in names.items():
        if any(item.startswith(f"{name}=") for item in overrides) and getattr(experiment, name) != value:
            raise ConfigError(
                f"command line: {name}: names the folder of a new run, but this one goes on in {run.path}. Leave it "
                f"out, or add --resume_weights_only to begin a new run with these weights."
            )
    return replace(experiment, **names)


def check_start_values(run: RunFolder, experiment: Experiment) -> None:
    """Raises ConfigError for a changed key that only a model that is not trained yet reads."""
    for key, (before, after) in changes_since(run, experiment).items():
        if key.endswith(_FOR_A_START) and schema.REQUIRED not in (before, after):
            raise ConfigError(
                f"{key}: is where a training starts, and has no effect on a trained model (it was {before}, got "
                f"{after}). Leave it out, or train anew without --resume."
            )


def changes_since(run: RunFolder, experiment: Experiment) -> dict[str, list[Any]]:
    """The dotted keys in which an experiment differs from a run's newest training: [before, after]."""
    return disagreements([read_parsed(run), schema.to_dict(experiment)])


@dataclass(frozen=True)
class ConfigRecord:
    """What a run's folder is to hold of a training's configuration."""

    run: RunFolder
    raw: str  # the text of the YAML files
    merged: str  # YAML with interpolations
    applied: Mapping[str, Any]  # by dotted keys
    parsed: Mapping[str, Any]

    @classmethod
    def of(
        cls, run: RunFolder, paths: Sequence[str | Path], sources: Sequence[Source], experiment: Experiment
    ) -> "ConfigRecord":
        """That of YAML files that have been given, and of all sources, which make the experiment."""
        applied = run.applied_config.resolve()
        merged = OmegaConf.merge(*(source.tree for source in sources if source.path != applied))
        own = _leaves(applied) if any(source.path == applied for source in sources) else {}
        if own:
            told = ", ".join(f"{key}={value}" for key, value in own.items())
            log.info("%s: an earlier training had to change %s", run.applied_config, told)
        given = flatten(plain(sources[-1].tree)) if sources[-1].path is None else {}
        if given and [Path(path) for path in paths] == [run.parsed_config]:
            log.info("%s: no merged.yaml beside it, so what was computed from other keys stays", run.parsed_config)
        kept = {key: value for key, value in own.items() if key not in given}
        raw = "\n---\n".join(Path(path).read_text(encoding="utf-8") for path in paths)
        parsed = schema.to_dict(experiment)
        for key, value in flatten(plain(merged)).items():
            if isinstance(value, str) and value.startswith(COUNTS_IN_FOLDER):
                OmegaConf.update(merged, key, flatten(parsed)[key])
        return cls(run, raw, OmegaConf.to_yaml(merged), kept, parsed)

    def with_applied(self, changes: Mapping[str, Any]) -> "ConfigRecord":
        """That with other changes of the program too, by dotted keys; `parsed` has them already."""
        return replace(self, applied={**self.applied, **changes})

    def create(self) -> None:
        """Makes the folder of a new run, see `RunFolder.create`; what is there already stays."""
        is_new = not self.run.parsed_config.is_file()
        self.run.create(self.raw, dict(self.parsed), self.merged)
        if is_new:
            _write_applied(self.run, self.applied)

    def rewrite(self, step: int) -> None:
        """Takes the place of what the folder holds, where that differs, before a training goes on from a step.

        The resolved file of before stays, as parsed-until-step-N.yaml."""
        changed = disagreements([read_parsed(self.run), dict(self.parsed)])
        if not changed:
            return
        kept = _free_name(self.run.parsed_config.with_name(f"parsed-until-step-{step}.yaml"))
        _write(kept, self.run.parsed_config.read_text(encoding="utf-8"))
        _write(self.run.merged_config, self.merged)
        _write_applied(self.run, self.applied)
        _write(self.run.parsed_config, as_yaml(self.parsed))
        log.info("config changed at step %d: %s (before: %s)", step, describe_changes(changed), kept.name)


def apply_change(run: RunFolder, changes: Mapping[str, Any]) -> None:
    """Writes down what the program changed in a training, by dotted keys, so that a resumed one has it too."""
    parsed = OmegaConf.create(read_parsed(run))
    for key, value in changes.items():
        OmegaConf.update(parsed, key, value)
    _write_applied(run, read_applied(run) | changes)
    _write(run.parsed_config, OmegaConf.to_yaml(parsed))


def write_used(metrics: Path, experiment: Experiment) -> None:
    """Writes what figures were measured with beside them: save/config.yaml beside save/metrics.json, and so on.

    Nothing reads it again, so what a pass is told for itself does not reach a later training."""
    path = metrics.with_name(f"{metrics.stem.replace('metrics', 'config')}.yaml")
    _write(path, as_yaml(schema.to_dict(experiment)))


def _write_applied(run: RunFolder, changes: Mapping[str, Any]) -> None:
    if not changes:
        run.applied_config.unlink(missing_ok=True)
        return
    node = OmegaConf.create()
    for key, value in changes.items():
        OmegaConf.update(node, key, value)
    _write(run.applied_config, _APPLIED_HEADER + OmegaConf.to_yaml(node))


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        flush_to_disk(temporary)


def _free_name(path: Path) -> Path:
    """The path, or the first of path-2, path-3, ... that does not exist."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free
