"""Settings that others leave without effect: refused or told."""

import logging
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from utils.config.difference import flatten
from utils.config.sources import Source, plain
from utils.errors import ConfigError

log = logging.getLogger(__name__)
_ARGS, _PARAMS = "system.optimizer.args", "system.optimizer.params"


def check_optimizer_args(sources: Sequence[Source], experiment: Any) -> None:
    """Raises ConfigError where a source sets `optimizer.args` after others have set the same for every part.

    A part that computes its value from `optimizer.args` follows it, and one file may well set both. Where only some of
    the parts follow, a warning names them."""
    trees = [flatten(plain(source.tree)) for source in sources]
    merged = {key: value for tree in trees for key, value in tree.items()}
    parts = _parts(experiment)
    for name in (item.name for item in fields(experiment.system.optimizer.args)):
        key = f"{_ARGS}.{name}"
        own = [f"{_PARAMS}.{part}.{name}" for part in parts if _is_own(merged.get(f"{_PARAMS}.{part}.{name}"), key)]
        if not own or _last(trees, key) <= max(_last(trees, part) for part in own):
            continue
        told = ", ".join(own)
        if len(own) == len(parts):
            raise ConfigError(f"{key}: has no effect, since each part of the model sets its own. Set {told} instead.")
        log.warning("%s=%s has no effect on the parts that set their own: %s", key, merged[key], told)


def tell_unused_scene(sources: Sequence[Source]) -> None:
    """Warns where a scene is named after the folder of the data was set, which does not follow it."""
    trees = [flatten(plain(source.tree)) for source in sources]
    merged = {key: value for tree in trees for key, value in tree.items()}
    scene, root = merged.get("dataset.scene"), merged.get("dataset.root_dir")
    is_later = _last(trees, "dataset.scene") > _last(trees, "dataset.root_dir") >= 0
    if scene is not None and is_later and _is_own(root, "dataset.scene"):
        log.warning("dataset.scene=%s is a name alone here: the data are those of dataset.root_dir=%s", scene, root)


def _parts(experiment: Any) -> list[str]:
    """The names that `optimizer.params` may use for a model, as `VolumeModel.parts` gives them."""
    model = experiment.model
    behind = getattr(model, "background", None)
    names = [name for name in ("geometry", "texture", "variance") if hasattr(model, name)]
    names += [f"{name}_bg" for name in ("geometry", "texture") if hasattr(behind, name)]
    return [*names, *experiment.system.learned_parts]


def _is_own(value: Any, key: str) -> bool:
    """Whether the value of a part, as it is written, does not follow that for all parts."""
    return value is not None and f"{{{key}}}" not in str(value)


def _last(trees: Sequence[dict[str, Any]], key: str) -> int:
    """The index of the last tree that sets a key, or a value in place of a block around it; -1: none does."""
    return max((index for index, tree in enumerate(trees) if key in tree), default=-1)
