"""The devices of a training: one, or one for each of several processes on this machine and on others."""

import logging
import os
from dataclasses import dataclass
from typing import Literal

import torch

from utils.errors import ConfigError

log = logging.getLogger(__name__)
_COUNTS = {
    *("LOCAL_WORLD_SIZE", "WORLD_SIZE", "LOCAL_RANK", "RANK"),
    *("SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_NODES", "SLURM_LOCALID", "SLURM_PROCID"),
}
Started = Literal["here", "torchrun", "srun"]


@dataclass(frozen=True)
class Devices:
    """Where this process computes, and which others train the same model."""

    own: torch.device
    local: tuple[int, ...] = (0,)  # for each process of this machine the index of its GPU, or 0 on the CPU
    nodes: int = 1  # machines
    rank: int = 0  # of this process among all; only the first one writes
    started: Started = "here"  # by whom the processes were started, or will be

    @classmethod
    def single(cls, device: torch.device) -> "Devices":
        """One process alone."""
        return cls(device, (device.index or 0,))

    @property
    def size(self) -> int:
        """Processes on all machines."""
        return len(self.local) * self.nodes

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0


def pick_device(gpu: str) -> torch.device:
    """The device that one name of --gpu stands for; the CPU where there is no GPU at all. Raises ConfigError."""
    if gpu == "cpu":
        return torch.device("cpu")
    if not gpu.isdigit():
        raise ConfigError(f"--gpu {gpu}: expected the index of a GPU such as 0, several such as 0,1, or cpu.")
    if not torch.cuda.is_available():
        log.info("no GPU found: running on the CPU with %d threads", torch.get_num_threads())
        return torch.device("cpu")
    if int(gpu) >= torch.cuda.device_count():
        raise ConfigError(f"--gpu {gpu}: this machine has {torch.cuda.device_count()} GPUs, numbered from 0.")
    torch.set_float32_matmul_precision("high")
    return torch.device("cuda", int(gpu))


def pick_devices(gpu: str) -> Devices:
    """What --gpu names: `0`, `0,1` for a process each, `cpu`, or `cpu,cpu` to try that out without GPUs.

    Processes started by torchrun or srun take the device that stands at their place. Raises ConfigError."""
    names = [name.strip() for name in gpu.split(",")]
    if len(names) > 1 and set(names) != {"cpu"}:
        if len(set(names)) < len(names) or "cpu" in names:
            raise ConfigError(f"--gpu {gpu}: name each GPU once, and no cpu among them.")
        if not torch.cuda.is_available():
            raise ConfigError(f"--gpu {gpu}: no GPU is found here. --gpu cpu trains on the processor.")
    started, here, nodes, place, rank = _processes(len(names))
    if here != len(names):
        raise ConfigError(
            f"--gpu {gpu}: {started} started {here} processes on this machine. Name as many devices, such as "
            f"--gpu {','.join(map(str, range(here)))}, or start {len(names)} of them."
        )
    picked = [pick_device(name) for name in names]
    return Devices(picked[place], tuple(device.index or 0 for device in picked), nodes, rank, started)


def _processes(named: int) -> tuple[Started, int, int, int, int]:
    """Who starts them, those of this machine, machines, and the place of this one here and among all."""
    found = {key: int(value) for key, value in os.environ.items() if key in _COUNTS and value.isdigit()}
    if "TORCHELASTIC_RUN_ID" in os.environ:
        here = found["LOCAL_WORLD_SIZE"]
        return "torchrun", here, found["WORLD_SIZE"] // here, found["LOCAL_RANK"], found["RANK"]
    if found.get("SLURM_STEP_NUM_TASKS", 1) > 1:
        nodes = found["SLURM_STEP_NUM_NODES"]
        here = found["SLURM_STEP_NUM_TASKS"] // nodes
        return "srun", here, nodes, found["SLURM_LOCALID"], found["SLURM_PROCID"]
    place = found.get("LOCAL_RANK", 0) if named > 1 else 0  # Lightning sets it for those that it starts
    return "here", named, 1, place, place
