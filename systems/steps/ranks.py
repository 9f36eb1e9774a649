"""Several processes train one model: each draws its own rays, and gradients are averaged.

Replicas stay equal to the bit: they start from the same weights, average the same gradients and refresh the occupancy
grid with the same random numbers. So they exchange nothing else, and the first process does all the rest: it
validates, logs and saves."""

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

LARGE = 2**20  # entries: gradients of at least as many are sent between GPUs in 16 bits
WATCHED_EVERY = 2.0  # seconds between two looks at whether the parent process still lives


@dataclass(frozen=True)
class Ranks:
    """The index of this process among those that train together, and their number."""

    own: int = 0
    size: int = 1

    @classmethod
    def joined(cls) -> "Ranks":
        """Those of torch's process group; one process where there is none."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else cls()

    def seed(self, shared: int) -> int:
        """The seed of this rank; the first one has the shared seed."""
        return shared + (self.own << 44)

    def average(self, gradients: Sequence[Tensor]) -> None:
        """Replaces gradients, of the same shapes on all ranks, by their means over the ranks.

        On GPUs the gradients of LARGE parameters, the tables of hash grids, are rounded to bfloat16 for the exchange:
        half of the bytes, and a smaller error than the choice of rays makes. The host reads nothing, so a CUDA graph
        may hold this."""
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
        """The means of figures () over all ranks; of those named in `sums`, the sums. All ranks call it together."""
        if self.size == 1:
            return dict(figures)
        joint = torch.stack([figure.float() for figure in figures.values()])
        dist.all_reduce(joint)
        scale = [1.0 if name in sums else 1.0 / self.size for name in figures]
        joint *= torch.tensor(scale).to(joint.device, non_blocking=True)
        return dict(zip(figures, joint.unbind(), strict=True))


class SplitRays(DDPStrategy):
    """Lightning's DDP, used only to start and join processes; within, each trains as if it were alone.

    The model is not wrapped: `Ranks.average` is called in the step, where a CUDA graph can hold it."""

    def setup(self, trainer: pl.Trainer) -> None:
        """As in DDP, but no step asks the first process whether it got a signal to stop.

        For the answer the host would wait for its GPU, which makes a step half as long again. `utils.interrupts`
        handles signals already."""
        super().setup(trainer)
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None

    def configure_ddp(self) -> None:
        """The model stays as it is."""
        return

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        """Does not wait: all meet in the next step."""
        return

    def broadcast(self, obj: Any, src: int = 0) -> Any:
        """The value of this process."""
        return obj

    def reduce(self, tensor: Any, *args: Any, **kwargs: Any) -> Any:
        """The value of this process."""
        return tensor

    def reduce_boolean_decision(self, decision: bool, all: bool = True) -> bool:
        """The value of this process."""
        return decision

    @property
    def lost(self) -> int | None:
        """The exit code of the first started process that has ended; None while all live."""
        codes = [process.poll() for process in getattr(self.launcher, "procs", [])]
        return next((code for code in codes if code is not None), None)

    def end_others(self) -> None:
        """Kills the processes that this one has started; they have nothing to save."""
        for process in getattr(self.launcher, "procs", []):
            process.kill()


def environment_of(started: str) -> ClusterEnvironment:
    """Lightning's environment for processes that "torchrun", "srun" or, "here", Lightning itself has started."""
    if started == "srun":
        return SLURMEnvironment(auto_requeue=False)
    return TorchElasticEnvironment() if started == "torchrun" else LightningEnvironment()


def leave_with_parent(end: Callable[[int], None] = os._exit) -> threading.Thread:
    """Ends this process soon after its parent, whatever ended that one: alone it would wait forever."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCHED_EVERY)
        end(1)

    thread = threading.Thread(target=watch, daemon=True, name="parent-watch")
    thread.start()
    return thread


def part() -> None:
    """Leaves the process group of torch after the last shared step."""
    dist.destroy_process_group()
