"""What Lightning's loop need not spend on a step, of which a GPU does a thousand in a second."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import pytorch_lightning as pl
from pytorch_lightning.profilers import PassThroughProfiler

T = TypeVar("T")
STEPS_AT_ONCE = 10  # at most, of which callbacks see the last one
_NOTHING = nullcontext()


class Unmeasured(PassThroughProfiler):
    """Measures nothing, as Lightning's own, but makes no generator for each of the 36 actions of a step."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:
        """A block in which nothing is measured."""
        return _NOTHING


class LightModule(pl.LightningModule):
    """A module on which Lightning notes the hook that it calls, forty times a step, as on any other object, and that
    may take several steps in what Lightning takes for one.

    at_once: after steps that it divides, callbacks are called in any case; a callback that has to see more sets it."""

    at_once = STEPS_AT_ONCE

    def __setattr__(self, name: str, value: Any) -> None:
        """As of any module, but for that name, which is none of a parameter or a part."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def take_steps(self, run: Callable[[int], T], ends: Iterable[int]) -> T:
        """Runs the current step, and further ones up to the next multiple of `at_once` or of one of `ends`; Lightning
        counts them all. Returns what the last one did. To be called in `training_step`, by a module whose `run` does
        what an optimiser and its gradients need too unless `ends` holds 1."""
        first = self.global_step
        end = min((first // every + 1) * every for every in (self.at_once, *ends))
        for step in range(first, end - 1):
            run(step)
        loop, further = self.trainer.fit_loop.epoch_loop, end - 1 - first
        loop.batch_progress.increment_by(further, loop.batch_progress.is_last_batch)
        counted = loop.automatic_optimization.optim_progress.optimizer
        counted.step.increment_by(further)
        counted.zero_grad.increment_by(further)
        return run(end - 1)
