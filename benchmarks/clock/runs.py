"""One run of launch.py in a checkout, timed from outside, with the stages that it tells of itself."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Thread
from typing import Any

from utils.environment import commit
from utils.errors import DataError
from utils.platforms import on_windows

START = ("config", "imports", "device", "photographs", "model", "trainer", "preparation", "first_step")
LATER = ("training", "saving", "mesh", "views", "video", "report")
STAGES = (*START, *LATER, "summary", "total", "exit")  # total: from the command to its last line
FIGURES = ("psnr", "steps", "peak_memory_mib", "peak_gpu_memory_mib")
CACHES = ("TRITON_CACHE_DIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "CUDA_CACHE_PATH")
PREDECESSOR = "predecessor"


@dataclass(frozen=True)
class Task:
    """A training that is timed."""

    name: str
    config: str
    overrides: tuple[str, ...] = ()
    on_cpu: bool = False
    of_predecessor: bool = False  # whether instant-nsr-pl has that config and data set too


@dataclass(frozen=True)
class Tree:
    """A checkout with a launch.py; its own .venv runs it, where it has one."""

    name: str
    root: Path

    def __post_init__(self) -> None:
        """Raises DataError for a folder without launch.py."""
        if not (self.root / "launch.py").is_file():
            raise DataError(f"{self.root}: expected a checkout with launch.py in it, got none.")

    @cached_property
    def commit(self) -> str:
        """See `utils.environment.commit`."""
        return commit(self.root)

    @property
    def python(self) -> str:
        """The interpreter that runs it."""
        own = self.root / ".venv" / ("Scripts/python.exe" if on_windows() else "bin/python")
        return str(own) if own.is_file() else sys.executable

    def command(self, task: Task, gpu: str, folder: Path, overrides: Sequence[str]) -> list[str]:
        """What trains the task, with results in a folder."""
        folders = ["--exp_dir", str(folder / "exp"), "--runs_dir", str(folder / "runs")]
        where = ["--gpu", "cpu" if task.on_cpu else gpu]
        return [
            self.python,
            "launch.py",
            "--config",
            task.config,
            *where,
            "--train",
            *folders,
            *task.overrides,
            *overrides,
        ]


@dataclass(frozen=True)
class Wall:
    """Seconds since the command, and its exit code."""

    last_line: float
    exit: float
    code: int


def timed(command: Sequence[str], root: Path, log: Path, more: dict[str, str]) -> Wall:
    """Runs a command in a folder; its lines go to a log. more: of the environment."""
    started = time.perf_counter()
    last = started
    process = subprocess.Popen(
        command, cwd=root, env=os.environ | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )

    def listen() -> None:
        nonlocal last
        with log.open("wb") as file:
            for line in process.stdout:
                last = time.perf_counter()
                file.write(line)

    reader = Thread(target=listen, daemon=True)
    reader.start()
    code = process.wait()
    ended = time.perf_counter()
    reader.join(timeout=5.0)  # helpers of the command may still hold its output
    return Wall(min(last, ended) - started, ended - started, code)


def fresh_caches(folder: Path) -> dict[str, str]:
    """Environment with places for all that is compiled, in a folder."""
    return {name: str(folder / name.lower()) for name in CACHES}


def drop_page_cache() -> bool:
    """Has the system forget what it read from disks; returns whether it did: root alone may ask."""
    try:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")
    except (OSError, AttributeError):
        return False
    return True


def run_task(
    tree: Tree, task: Task, gpu: str, folder: Path, overrides: Sequence[str], caches: dict[str, str]
) -> dict[str, Any]:
    """One run: its seconds by stage and its figures, or why it failed. caches: see `fresh_caches`; {}: the user's."""
    folder.mkdir(parents=True)
    log = folder / "log.txt"
    wall = timed(tree.command(task, gpu, folder, overrides), tree.root, log, caches)
    if wall.code:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing was said"]
        return {"failed": f"code {wall.code}: {lines[-1]}"}
    written = sorted(folder.glob("exp/**/save/metrics.json"), key=lambda path: path.stat().st_mtime)
    metrics = json.loads(written[-1].read_text(encoding="utf-8")) if written else {}
    figures = {name: metrics[name] for name in FIGURES if name in metrics}
    if "peak_gpu_memory_mib" in metrics.get("mesh", {}):
        figures["mesh_peak_gpu_memory_mib"] = metrics["mesh"]["peak_gpu_memory_mib"]
    return {"seconds": seconds_of(metrics, wall), **figures}


def seconds_of(metrics: dict[str, Any], wall: Wall) -> dict[str, float]:
    """Seconds by stage, of `STAGES` those that are known.

    A checkout without `stage_seconds` tells those of its training, mesh and views, which may have overlapped."""
    start = {name: value for name, value in metrics.get("start_seconds", {}).items() if name in START}
    if told := metrics.get("stage_seconds"):
        later = {name: told[name] for name in LATER if name in told} | {"summary": wall.last_line - told["total"]}
    else:
        within = start.get("preparation", 0.0) + start.get("first_step", 0.0)  # train_seconds holds them too
        mesh = metrics.get("mesh", {})
        known = {
            "training": metrics["train_seconds"] - within if "train_seconds" in metrics else None,
            "mesh": mesh.get("extraction_seconds", mesh.get("seconds")),
            "views": metrics.get("views_seconds"),
        }
        later = {name: value for name, value in known.items() if value is not None}
    return {**start, **later, "total": wall.last_line, "exit": wall.exit - wall.last_line}
