"""What a result was made with: hardware, versions, commit, peak memory."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from utils.platforms import on_windows
from utils.registry import ROOT

UNKNOWN = "unknown"
ARCHIVED = ".git_archival.txt"  # git writes the commit into it when it packs a tree, see .gitattributes
_OF_ANOTHER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")  # where git would look in place of the tree, as in a hook
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


def commit(root: Path = ROOT) -> str:
    """The commit of a checkout, with `+` when files differ from it; of a tree that `git archive` or GitHub packed, the
    one that they left in it; `unknown` where nothing tells, also within another repository."""
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel")).samefile(root):
            head = _git(root, "rev-parse", "--short", "HEAD")
            return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        pass
    try:
        archived = (root / ARCHIVED).read_text(encoding="utf-8").strip()
    except OSError:
        return UNKNOWN
    return archived if re.fullmatch(r"[0-9a-f]{7,40}", archived) else UNKNOWN


def _git(root: Path, *args: str) -> str:
    command = ["git", "-C", str(root), *args]
    own = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER}
    return subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8", env=own).stdout.strip()


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
