"""What a captured training step launches, counted without a GPU."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock

from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from triton.runtime.jit import JITFunction

from benchmarks.cards.stand_in import noted
from benchmarks.cards.steps import prepared, training_step
from systems.steps.graphs import StepGraphs

_NOTHING = ("empty", "new_empty", "lift", "profiler::")  # beginnings of operations that launch no kernel


class _Counting(TorchDispatchMode):
    """Counts the operations of torch that are no views, as a kernel each, into a counter."""

    def __init__(self, found: Counter[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        if not func.is_view and not name.startswith(_NOTHING):
            self.found[f"torch {name}"] += 1
        return func(*args, **(kwargs or {}))


def launches(case: str, card: str = "sm_90") -> Counter[str]:
    """How many kernels of each name a captured step of a case launches, forward, backward and optimiser."""
    found: Counter[str] = Counter()

    def counted(graphs: StepGraphs, key: tuple, function: Callable[[], Any]) -> Any:
        if key[0] == "occupancy":
            return function()
        with _Counting(found):
            return function()

    with noted(card, card), prepared(case) as (experiment, model, views):
        run = JITFunction.run

        def noted_and_counted(kernel: JITFunction, *args: Any, **options: Any) -> None:
            found[f"{kernel.module.rpartition('.')[2]}.{kernel.fn.__name__}"] += 1
            with _disable_current_modes():
                run(kernel, *args, **options)

        step = training_step(experiment, model, views, captured=True)
        step.run(0)
        with mock.patch.object(StepGraphs, "run", counted), mock.patch.object(JITFunction, "run", noted_and_counted):
            step.run(experiment.trainer.max_steps // 2 + 1)
    return found
