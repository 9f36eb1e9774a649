"""Picks the devices of a training: one, or one for each of several processes, on one machine or several."""

import contextlib
import importlib
import logging
import os
import threading
from dataclasses import dataclass
from typing import Literal

import torch

from models.ops.backends import FAMILIES
from systems.runs.command_line import check_gpu
from systems.training.missing_gpu import look, no_gpu, reason
from utils.errors import ConfigError
from utils.terminal.numbers import counted

log = logging.getLogger(__name__)
_COUNTS = {
    *("LOCAL_WORLD_SIZE", "WORLD_SIZE", "LOCAL_RANK", "RANK"),
    *("SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_NODES", "SLURM_LOCALID", "SLURM_PROCID"),
}
Launcher = Literal["here", "torchrun", "srun"]


@dataclass(frozen=True)
class Devices:
    """The device of this process, and the other processes that train the same model."""

    own: torch.device
    local: tuple[int, ...] = (0,)  # GPU index of each process on this machine, or 0 on the CPU
    nodes: int = 1  # machines
    rank: int = 0  # of this process among all; only the first one writes
    launcher: Launcher = "here"  # what starts the processes; here: Lightning does, on this machine

    @classmethod
    def single(cls, device: torch.device) -> "Devices":
        """A training in one process."""
        return cls(device, (device.index or 0,))

    @property
    def size(self) -> int:
        """The number of processes on all machines."""
        return len(self.local) * self.nodes

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0


def pick_device(gpu: str) -> torch.device:
    """The device for one name in --gpu: an index, cpu, or auto for the first GPU, else the CPU. Raises ConfigError."""
    if gpu == "cpu":
        return torch.device("cpu")
    check_gpu(gpu)
    if not torch.cuda.is_available():
        why = reason(look(error=_error_of_torch()))
        if gpu != "auto":
            raise no_gpu(gpu, why)
        level = logging.WARNING if why else logging.INFO
        log.log(
            level,
            "no GPU found: running on the CPU with %s%s",
            counted(torch.get_num_threads(), "thread"),
            why and f"; {why}",
        )
        return torch.device("cpu")
    gpu = "0" if gpu == "auto" else gpu
    if int(gpu) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        there = "one GPU, with the number 0" if count == 1 else f"{count} GPUs, with the numbers 0 to {count - 1}"
        raise ConfigError(f"--gpu {gpu}: this machine has {there}.")
    torch.set_float32_matmul_precision("high")
    return torch.device("cuda", int(gpu))


def wake(device: torch.device) -> None:
    """Has a GPU make its context and load what a first step uses, in a thread, while photographs are waited for."""
    if device.type == "cuda":
        threading.Thread(target=_touch, args=(device,), name="wake", daemon=True).start()


def _touch(device: torch.device) -> None:
    with contextlib.suppress(RuntimeError):  # whoever uses the device next meets the same error
        torch.zeros(1, device=device)
        waking = threading.Thread(target=_wake_triton, name="wake", daemon=True)
        waking.start()
        use_once(device)
        waking.join()


def _wake_triton() -> None:
    """Triton's hash of itself, without the lock of the interpreter; then its driver, and our kernels as far as Python
    knows them."""
    with contextlib.suppress(ImportError, AttributeError, RuntimeError):  # whoever launches one meets the same error
        importlib.import_module("models.ops.kernel_names").hash_triton()
        importlib.import_module("triton.runtime.driver").driver.default.get_current_target()
        for family in FAMILIES["triton"]:
            importlib.import_module(f"models.ops.triton.{family}")


def use_once(device: torch.device) -> None:
    """One of each operation of torch that a step, a view or a mesh uses, on few numbers: a GPU loads the kernels of
    each when it is first used, some tens of milliseconds for some. The global random numbers stay as they are."""
    generator = torch.Generator(device).manual_seed(0)
    points = torch.rand(64, 3, generator=generator, device=device)
    weight = torch.nn.Parameter(points.clone())
    scale = torch.nn.Parameter(points[:, :1].clone())
    index = torch.randint(64, (32,), generator=generator, device=device)
    cells = torch.stack([index // 16, index // 4 % 4, index % 4], dim=-1)
    values, near = points[:, 0].contiguous(), points[:, 1] < 0.5
    # the occupancy grid
    places = torch.cat([index, torch.searchsorted(near.cumsum(0), index + 1).clamp(max=63)])
    visited = torch.zeros_like(near).index_fill_(0, places, True)
    decayed = torch.where(visited, values * 0.95, values).scatter_reduce(0, places, values[places], "amax")
    (decayed > decayed.mean().clamp(max=0.5)).logical_and(near).float().mean()
    ((cells + points[:32]) * 2.0 - 1.0).abs().norm(dim=-1)
    # rays and samples
    counts = torch.where(near, index.repeat(2), 0).clamp(0, 8)
    torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    near.nonzero()
    # gradients and the optimiser
    out = torch.sigmoid(points.half().float() @ torch._weight_norm(weight, scale, 0).T).exp()
    loss = torch.stack([out.square().mean(), out.sum()]).mul(0.5).sum()
    moved, gradients = [weight.detach(), scale.detach()], torch.autograd.grad(loss, (weight, scale))
    moments, rate = [[torch.zeros_like(value) for value in moved] for _ in range(2)], torch.tensor(0.01, device=device)
    steps = [torch.zeros((), device=device) for _ in moved]
    torch._foreach_add_(steps, 1)
    settings = {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.01, "eps": 1e-8, "amsgrad": False, "maximize": False}
    torch._fused_adamw_(moved, list(gradients), *moments, [], steps, lr=rate, **settings)


def _error_of_torch() -> str:
    """What torch says when it is asked for a GPU in vain, as a sentence."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return f"{' '.join(str(error).split()).rstrip('.')}."
    return ""


def pick_devices(gpu: str) -> Devices:
    """The devices for --gpu: `auto`, `cpu`, `0`, `0,1` for a process on each, or `cpu,cpu` to try that without GPUs.

    A process that torchrun or srun has started takes the device at its local rank. Raises ConfigError."""
    check_gpu(gpu)
    names = [name.strip() for name in gpu.split(",")]
    if len(names) > 1 and set(names) != {"cpu"} and not torch.cuda.is_available():
        raise no_gpu(gpu, reason(look(error=_error_of_torch())))
    layout = _process_layout(len(names))
    if layout.local_size != len(names):
        raise ConfigError(
            f"--gpu {gpu}: {layout.launcher} started {layout.local_size} processes on this machine. Give as many "
            f"devices, such as --gpu {','.join(map(str, range(layout.local_size)))}, or start {len(names)} processes."
        )
    picked = [pick_device(name) for name in names]
    indices = tuple(device.index or 0 for device in picked)
    return Devices(picked[layout.local_rank], indices, layout.nodes, layout.rank, layout.launcher)


@dataclass(frozen=True)
class ProcessLayout:
    """The processes of a training, and which of them this one is."""

    launcher: Launcher
    local_size: int  # processes on this machine
    nodes: int  # machines
    local_rank: int  # of this process on this machine
    rank: int  # of this process among all


def _process_layout(num_devices: int) -> ProcessLayout:
    """The layout that torchrun or srun describes in the environment, else one process here for each device."""
    counts = {key: int(value) for key, value in os.environ.items() if key in _COUNTS and value.isdigit()}
    if "TORCHELASTIC_RUN_ID" in os.environ:
        local_size = counts["LOCAL_WORLD_SIZE"]
        nodes = counts["WORLD_SIZE"] // local_size
        return ProcessLayout("torchrun", local_size, nodes, counts["LOCAL_RANK"], counts["RANK"])
    if counts.get("SLURM_STEP_NUM_TASKS", 1) > 1:
        nodes = counts["SLURM_STEP_NUM_NODES"]
        local_size = counts["SLURM_STEP_NUM_TASKS"] // nodes
        return ProcessLayout("srun", local_size, nodes, counts["SLURM_LOCALID"], counts["SLURM_PROCID"])
    rank = counts.get("LOCAL_RANK", 0) if num_devices > 1 else 0  # Lightning sets it for processes that it starts
    return ProcessLayout("here", num_devices, 1, rank, rank)
