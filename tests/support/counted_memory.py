"""Counts the bytes of tensors that are alive at once, in steps of the Triton backend that are rehearsed on a CPU.

As a script, in a process without Triton's interpreter: reads configs and overrides by name, writes bytes by name."""

import json
import sys
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.ops.cards import KNOWN
from models.ops.launches import noted
from systems.configs import Experiment, read_experiment
from systems.steps.optim import build_optimizer
from systems.steps.step import TrainingStep
from systems.training.rehearsal import Pixels
from utils import registry


class CountedBytes(TorchDispatchMode):
    """Within it, `peak` is the most bytes that tensors made within it have held at once."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor):
                self._hold(tensor.untyped_storage())
        if self._now > self.peak:
            for key in [key for key, (storage, _) in self._held.items() if storage.expired()]:
                self._now -= self._held.pop(key)[1]
            self.peak = max(self.peak, self._now)
        return found

    def _hold(self, storage: torch.UntypedStorage) -> None:
        known = self._held.get(storage._cdata)
        if known is None or known[0].expired():
            self._now += storage.nbytes() - (0 if known is None else known[1])
            self._held[storage._cdata] = StorageWeakRef(storage), storage.nbytes()


def step_bytes(experiment: Experiment) -> int:
    """The most that a training step of an experiment, forward and backward, holds beside its model."""
    with noted(KNOWN["sm_90"]), torch.autocast("cpu", torch.float16, enabled=experiment.trainer.precision == "16"):
        model = registry.build(experiment.model)
        optimizer = build_optimizer(experiment.system, model.parts())
        step = TrainingStep(model, experiment, Pixels(), optimizer, torch.device("cpu"), False)
        step.run(1).loss.backward()  # what the first step makes stays
        optimizer.zero_grad()
        with CountedBytes() as counted:
            step.run(1).loss.backward()
    return counted.peak


if __name__ == "__main__":
    torch.set_num_threads(1)
    json.dump({name: step_bytes(read_experiment(*asked)) for name, asked in json.load(sys.stdin).items()}, sys.stdout)
