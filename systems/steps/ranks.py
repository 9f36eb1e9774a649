"""Several processes train one model: each draws its own rays, and gradients are averaged.

Replicas stay equal to the bit: they begin with the same weights, average the same gradients and refresh the occupancy
grid with the same random numbers. So nothing else is ever exchanged, and one of them, the first, can do all the rest:
validate, log, save."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor

LARGE = 2**20  # entries from which on the gradient of a parameter travels between GPUs in 16 bits
WATCHED_EVERY = 2.0  # seconds, whether the process that started this one still lives


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those that train together."""

    own: int = 0
    size: int = 1

    @classmethod
    def joined(cls) -> "Ranks":
        """Those of torch's process group; one process where there is none."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else cls()

    def seed(self, shared: int) -> int:
        """A seed of this rank's own; the shared one for the first."""
        return shared + (self.own << 44)

    def average(self, gradients: Sequence[Tensor]) -> None:
        """Puts the means over all ranks in place of gradients, of the same shapes on all ranks.

        On GPUs those of LARGE parameters, the tables of hash grids, are rounded to bfloat16 on the way: half of the
        bytes, and less of an error than the rays of another batch make. The host reads nothing: a CUDA graph may hold
        this."""
        if self.size == 1:
            return
        large = [gradient for gradient in gradients if gradient.is_cuda and gradient.numel() >= LARGE]
        small = [gradient for gradient in gradients if not (gradient.is_cuda and gradient.numel() >= LARGE)]
        sent = [gradient.to(torch.bfloat16) for gradient in large]
        under_way = [dist.all_reduce(short, async_op=True) for short in sent]
        if small:  # joined while those travel
            joint = torch.cat([gradient.reshape(-1) for gradient in small])
            last = dist.all_reduce(joint, async_op=True)
        for gradient, short, work in zip(large, sent, under_way, strict=True):
            work.wait()
            torch.mul(short, 1.0 / self.size, out=gradient)
        if small:
            last.wait()
            parts = joint.mul_(1.0 / self.size).split([gradient.numel() for gradient in small])
            torch._foreach_copy_(small, [part.view_as(own) for own, part in zip(small, parts, strict=True)])

    def gather(self, figures: Mapping[str, Tensor], sums: Sequence[str]) -> dict[str, Tensor]:
        """The means of figures () over all ranks, of some the sums; every rank must ask at the same step."""
        if self.size == 1:
            return dict(figures)
        joint = torch.stack([figure.float() for figure in figures.values()])
        dist.all_reduce(joint)
        scale = [1.0 if name in sums else 1.0 / self.size for name in figures]
        joint *= torch.tensor(scale).to(joint.device, non_blocking=True)
        return dict(zip(figures, joint.unbind(), strict=True))


class SplitRays(DDPStrategy):
    """Lightning's DDP as far as it starts processes and joins them; within, each trains as if it were alone.

    The model is not wrapped: `Ranks.average` is called in the step, where a CUDA graph can hold it."""

    def setup(self, trainer: pl.Trainer) -> None:
        """As DDP's, but no step begins with a question to the first process whether it was told to stop.

        The host would wait for its GPU to hear the answer, which makes a step half as long again. Who is told to stop
        is known already, see `utils.interrupts`."""
        super().setup(trainer)
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None

    def configure_ddp(self) -> None:
        """The model stays as it is."""
        return

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        """Nobody waits: the next step is where all meet."""
        return

    def broadcast(self, obj: Any, src: int = 0) -> Any:
        """What this process has."""
        return obj

    def reduce(self, tensor: Any, *args: Any, **kwargs: Any) -> Any:
        """What this process has."""
        return tensor

    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        """What this process has."""
        return decision

    @property
    def lost(self) -> int | None:
        """The exit code of a process that this one has started and that has ended; None while all live."""
        codes = [process.poll() for process in getattr(self.launcher, "procs", [])]
        return next((code for code in codes if code is not None), None)

    def end_others(self) -> None:
        """Ends the processes that this one has started; they have nothing to save."""
        for process in getattr(self.launcher, "procs", []):
            process.kill()


def environment_of(started: str) -> ClusterEnvironment:
    """How Lightning is to see processes that were started by "torchrun", "srun" or, "here", by itself."""
    if started == "srun":
        return SLURMEnvironment(auto_requeue=False)
    return TorchElasticEnvironment() if started == "torchrun" else LightningEnvironment()


def leave_with_parent(end: Callable[[int], None] = os._exit) -> threading.Thread:
    """Ends this process soon after the one that started it, however that came: alone it would wait forever."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCHED_EVERY)
        end(1)

    thread = threading.Thread(target=watch, daemon=True, name="parent-watch")
    thread.start()
    return thread


def part() -> None:
    """Leaves torch's process group, after the last step that is taken together."""
    dist.destroy_process_group()
