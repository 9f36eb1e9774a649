"""What configs may compute, as resolvers of OmegaConf: numbers, and what depends on files and packages."""

import importlib.util
import json
import logging
import operator
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, Node, OmegaConf

from utils.config.mask_choice import object_alone
from utils.config.schema import is_number
from utils.terminal.typed_paths import typed_path

log = logging.getLogger(__name__)


def calc_exp_lr_decay_rate(factor: float, steps: float) -> float:
    """The factor per step that multiplies up to `factor` over `steps` steps.

    0 steps count as one; Experiment then refuses the config and names the keys."""
    return factor ** (1.0 / max(steps, 1))


@cache
def say(text: str) -> None:
    """Logs it, once until `say.cache_clear()`."""
    log.info("%s", text)


def if_masks(root: str, applied: bool, then: Any, else_: Any, *, _root_: DictConfig) -> Any:
    """`then` where masks in a folder of photographs show the object and are to be applied, else `else_`; says which and
    why, once.

    Reads in all of the config what masks mean, dataset.masks, and the file that may name them, dataset.file."""
    name, masks = (OmegaConf.select(_root_, f"dataset.{key}") for key in ("name", "masks"))
    file = OmegaConf.select(_root_, "dataset.file", default="transforms.json") if name == "transforms" else None
    alone, reason = object_alone(root, applied, masks, file)
    say(f"{root}: taking the settings for the {'object alone' if alone else 'whole scene'}, since {reason}")
    return then if alone else else_


def if_installed(package: str, then: Any, else_: Any, *, _node_: Node) -> Any:
    """`then` where a Python package is installed, else `else_`, which it says once."""
    if missing := importlib.util.find_spec(package) is None:
        say(f"{package} is not installed (pip install {package}), so {_node_._get_full_key(None)}={else_}, not {then}")
    return else_ if missing else then


def if_any_of(names: Any, sought: Any, then: Any, else_: Any) -> Any:
    """`then` where a list of names holds any of those sought, else `else_`."""
    return then if {*names} & {*sought} else else_


def count_lightings(root: str) -> int:
    """How many lightings the file lighting.json in a folder of photographs tells of; 0 where it is none that can be
    read, which the dataset then says."""
    try:
        return len(json.loads((typed_path(root) / "lighting.json").read_text(encoding="utf-8-sig"))["lightings"])
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return 0


_ARITHMETIC = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "idiv": operator.floordiv,
    "calc_exp_lr_decay_rate": calc_exp_lr_decay_rate,
}
COUNTS_IN_FOLDER = "${count_lightings:"  # what it comes to shapes a model, so a run keeps what it began with
COMPUTES = re.compile(r"\$\{(" + "|".join(_ARITHMETIC) + "):")


def _of_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which then refuses text and lists, though Python adds and multiplies them too."""

    def checked(*values: Any) -> Any:  # OmegaConf holds resolvers to their hints, where an int is no float
        for value in values:
            if not is_number(value):
                raise TypeError(f"expected a number, got {value!r}")
        return function(*values)

    return checked


for _name, _function in _ARITHMETIC.items():
    OmegaConf.register_resolver(_name, _of_numbers(_function), replace=True)
OmegaConf.register_resolver("basename", lambda path: re.sub(r"[^\w.-]", "-", Path(path).name), replace=True)
OmegaConf.register_resolver("if_equal", lambda one, other, then, else_: then if one == other else else_, replace=True)
OmegaConf.register_resolver("if_masks", if_masks, replace=True)
OmegaConf.register_resolver("if_any_of", if_any_of, replace=True)
OmegaConf.register_resolver("if_installed", if_installed, replace=True)
OmegaConf.register_resolver("count_lightings", count_lightings, replace=True)
OmegaConf.register_resolver("existing", lambda path: path if typed_path(path).exists() else None, replace=True)
