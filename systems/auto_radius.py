"""`model.radius=auto`: the experiment with the number that it stands for, and what else follows the units."""

import math
from dataclasses import replace
from typing import Any

from systems.configs import Experiment

AUTO = "auto"


def asks_for_radius(experiment: Experiment) -> bool:
    """Whether the radius of the model is to be found from the scene."""
    return getattr(experiment.model, "radius", None) == AUTO


def with_radius(experiment: Experiment, radius: float, is_new: bool) -> tuple[Experiment, dict[str, Any]]:
    """The experiment with a radius in scene units, and what that changes in its config, by dotted keys.

    is_new: the model starts; then `variance.init_val` counts in radii: inv_s is in 1 / scene unit, so that a scene in
    millimetres starts as soft as one in metres."""
    model = replace(experiment.model, radius=radius)
    changes: dict[str, Any] = {"model.radius": radius}
    variance = getattr(model, "variance", None)
    if is_new and variance is not None:
        start = round(min(max(variance.init_val - 0.1 * math.log(radius), -1.3), 1.3), 4)
        model = replace(model, variance=replace(variance, init_val=start))
        changes["model.variance.init_val"] = start
    return replace(experiment, model=model), changes
