"""What this process holds at a moment: memory, file handles and threads, and files in the folders of a run."""

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.common import rounded
from benchmarks.tables import Json

FIGURES = {  # in the order of the tables
    "memory_mib": "memory of the process, MiB",
    "gpu_allocated_mib": "GPU memory in use, MiB",
    "gpu_reserved_mib": "GPU memory reserved, MiB",
    "files_open": "open file handles",
    "threads": "threads",
    "checkpoints": "checkpoints",
    "checkpoints_mib": "checkpoints, MiB",
    "results_mib": "views, meshes and videos, MiB",
    "tensorboard_mib": "TensorBoard, MiB",
}
NOTES = 20  # of a part, beside the first
BOUNDED = ("files_open", "threads", "checkpoints")  # which nothing may make more of


def status(name: str) -> int:
    """A number of /proc/self/status; sizes are in KiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def mib(sizes: Sequence[int]) -> float:
    """The sum of so many bytes."""
    return rounded(sum(sizes) / 2**20)


def footprint(exp: Path, runs: Path) -> Json:
    """The figures of this moment; exp, runs: the folders for results and for TensorBoard, with a single run."""
    checkpoints, results, curves = (
        [path.stat().st_size for path in folder.glob(pattern) if path.is_file()]
        for folder, pattern in ((exp, "*/*/ckpt/*.ckpt"), (exp, "*/*/save/**/*"), (runs, "**/*"))
    )
    figures = {
        "memory_mib": rounded(status("VmRSS") / 2**10),
        "files_open": len(os.listdir("/proc/self/fd")),
        "threads": status("Threads"),
        "checkpoints": len(checkpoints),
        "checkpoints_mib": mib(checkpoints),
        "results_mib": mib(results),
        "tensorboard_mib": mib(curves),
    }
    if torch.cuda.is_initialized():
        figures["gpu_allocated_mib"] = rounded(torch.cuda.memory_allocated() / 2**20)
        figures["gpu_reserved_mib"] = rounded(torch.cuda.memory_reserved() / 2**20)
    return figures


def summary(samples: Sequence[Json], unit: str, per: int) -> Json:
    """First, second, last and largest of each figure, and its growth for so many units from the second sample on.

    samples: with what was done until then under the name of the unit."""
    second, last = samples[min(1, len(samples) - 1)], samples[-1]
    done = last[unit] - second[unit]
    found = {}
    for name in (name for name in FIGURES if name in last):
        values = [sample[name] for sample in samples if name in sample]
        growth = rounded((last[name] - second[name]) * per / done) if done and name in second else None
        found[name] = {"first": values[0], "second": second.get(name), "last": last[name], "largest": max(values)}
        found[name]["growth"] = growth
    return found


def grown(figures: Json) -> list[str]:
    """The names of what must not become more, and did after the second sample."""
    return [name for name in BOUNDED if figures[name]["last"] > figures[name]["second"]]
