"""What a training step of shipped configs asks of the host, one line each; Triton's kernels are noted and not run.

python tests/support/graph_rules.py neus-blender neus-capture"""

import json
import sys
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from models.ops import cards, launches  # noqa: E402 that is where they lie
from systems.configs import read_experiment  # noqa: E402
from systems.steps.optim import build_optimizer  # noqa: E402
from systems.steps.step import TrainingStep  # noqa: E402
from systems.training import rehearsal  # noqa: E402
from utils import registry  # noqa: E402

# beginnings of operations that read a value on the host, have a shape that depends on data, or copy a number from it
FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "unique", "equal")


class Watch(TorchDispatchMode):
    """Counts forbidden operations by the file of ours that asks for them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        if name.startswith(FORBIDDEN):
            own = [Path(frame.filename) for frame in traceback.extract_stack()]
            files = [path.relative_to(ROOT).as_posix() for path in own if ROOT in path.parents and path.is_file()]
            files = [file for file in files if file.startswith(("models/", "systems/", "datasets/", "utils/"))]
            self.found[name, files[-1]] += 1
        return func(*args, **(kwargs or {}))


def asked(config: str) -> Counter[tuple[str, str]]:
    """What the second kind of step of a config asks for."""
    overrides = ["dataset.scene=x", "dataset.root_dir=x"]
    overrides += ["system.loss.lambda_ncc=0.1"] if config == "neus-capture" else []
    experiment = read_experiment([ROOT / f"configs/{config}.yaml"], overrides)
    model, system = rehearsal.small(replace(experiment.model, grid_min_views=0)), rehearsal.small(experiment.system)
    experiment, watch = replace(experiment, model=model, system=system), Watch()
    with launches.noted(cards.KNOWN["sm_90"]):
        model, views = registry.build(experiment.model), rehearsal.Pixels()
        optimizer = build_optimizer(experiment.system, model.parts())
        step = TrainingStep(model, experiment, views, optimizer, torch.device("cpu"), True)
        step.run(0)  # makes lasting state, before a graph is recorded
        run = step._run

        def watched(key: Any, function: Any) -> Any:
            with watch:
                return run(key, function)

        step._run = watched
        step.run(experiment.trainer.max_steps // 2 + 1)
    return watch.found


if __name__ == "__main__":
    for name in sys.argv[1:]:
        sys.stdout.write(json.dumps([name, sorted(asked(name))]) + "\n")
