"""What a result was made with: hardware, versions, commit, peak memory."""

import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import torch

from utils.platforms import on_windows
from utils.registry import ROOT

_before_stages: dict[int, int] = {}  # peak bytes of each GPU until its count began anew, see `peaks_of_stage`


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Hardware, versions and commit, as plain values."""
    return {
        "device": device_name(device),
        "cpu_threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "pytorch_lightning": version("pytorch-lightning"),
        "commit": commit(),
    }


def device_name(device: torch.device) -> str:
    """The product name of a device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()


def peak_memory(device: torch.device) -> dict[str, float]:
    """Largest memory so far in MiB: of the process and, on a GPU, of torch's allocator there."""
    peaks = {"peak_memory_mib": _peak_bytes() / 2**20}
    if device.type == "cuda":
        earlier = _before_stages.get(_gpu_index(device), 0)
        peaks["peak_gpu_memory_mib"] = max(earlier, torch.cuda.max_memory_allocated(device)) / 2**20
    return {name: round(value, 1) for name, value in peaks.items()}


@contextmanager
def peaks_of_stage(device: torch.device) -> Iterator[dict[str, float]]:
    """Around a stage; what is entered holds its own `peak_gpu_memory_mib` once it has ended, and nothing on a CPU.

    `peak_memory` still knows of what was before."""
    peaks: dict[str, float] = {}
    if device.type == "cuda":
        index = _gpu_index(device)
        _before_stages[index] = max(_before_stages.get(index, 0), torch.cuda.max_memory_allocated(device))
        torch.cuda.reset_peak_memory_stats(device)
    yield peaks
    if device.type == "cuda":
        peaks["peak_gpu_memory_mib"] = round(torch.cuda.max_memory_allocated(device) / 2**20, 1)


def _gpu_index(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index


def _peak_bytes() -> int:
    if on_windows():
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def commit() -> str | None:
    """The commit of this checkout, with `+` when files differ from it; None outside a repository."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*args: str) -> str:
    command = ["git", "-C", str(ROOT), *args]
    return subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout.strip()


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
