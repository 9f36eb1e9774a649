"""What the benchmarks share: command lines, a spread of many timings, hardware and versions, results on disk."""

import argparse
import gc
import json
import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import SubprocessError, run
from typing import Any

import numpy as np
import torch

from systems.training.devices import pick_device
from utils.environment import describe_environment
from utils.errors import ConfigError, InputError
from utils.files import replacing
from utils.registry import ROOT
from utils.terminal.typed_paths import PathParser

RESULTS = ROOT / "benchmarks" / "results"
_OVERRIDE = re.compile(r"[\w.\[\]]+=")


class PlainParser(PathParser):
    """A parser without flags; what is wrong with a command line is a ConfigError."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(prog=f"python -m benchmarks.{name}", description=description, allow_abbrev=False)

    def error(self, message: str) -> None:
        """Raises ConfigError in place of the usage text."""
        raise ConfigError(f"command line: {message}. See {self.prog} --help.")


class Parser(PlainParser):
    """A parser with the flags of everything that measures."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(name, description)
        self.add_argument(
            "--device", metavar="D", help="cpu, cuda or the index of a GPU (default: a GPU if there is one)"
        )
        self.add_argument(
            "--quick", action="store_true", help="small sizes: shows that it runs, not how fast; not kept"
        )
        self.add_argument(
            "--out",
            type=Path,
            metavar="PATH",
            help="a folder, or a file that ends in .json (default: benchmarks/results)",
        )


def parse_with_overrides(parser: Parser, argv: Sequence[str]) -> argparse.Namespace:
    """Flags, and `overrides` for all key=value. Raises ConfigError for anything else."""
    overrides = [item for item in argv if _OVERRIDE.match(item)]
    args = parser.parse_args([item for item in argv if item not in overrides])
    args.overrides = overrides
    return args


def run_command(work: Callable[[list[str]], int | None], argv: list[str] | None = None) -> int:
    """Runs a benchmark's `work`; returns its exit code, 2 with one line on stderr for input that must be mended."""
    try:
        return work(sys.argv[1:] if argv is None else argv) or 0
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def progress(text: str) -> None:
    """Says on stderr what is being done."""
    print(text, file=sys.stderr, flush=True)


def chosen_device(name: str | None) -> torch.device:
    """The device that --device names. Raises ConfigError for an unknown one, and for a GPU that is not there."""
    if name is None:
        return pick_device("auto")
    if not re.fullmatch(r"cpu|cuda|(cuda:)?\d+", name):
        raise ConfigError(f"--device {name}: expected cpu, cuda, or the index of a GPU such as 0.")
    if name != "cpu" and not torch.cuda.is_available():
        raise ConfigError(f"--device {name}: torch sees no GPU here. Leave it out or use --device cpu.")
    return pick_device("0" if name == "cuda" else name.removeprefix("cuda:"))


def whole_number(least: int) -> Callable[[str], int]:
    """A type for argparse: a whole number from `least` on."""

    def convert(text: str) -> int:
        if not re.fullmatch(r"\d+", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} on, got '{text}'")
        return int(text)

    return convert


def positive_number(text: str) -> float:
    """A type for argparse: a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got '{text}'")
    return value


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 10th and 90th percentile of many measurements, and how many there were; raises ValueError for none."""
    if not len(values):
        raise ValueError("Expected at least one measurement. Got none.")
    low, median, high = np.percentile(values, [10, 50, 90])
    return {"median": rounded(median), "p10": rounded(low), "p90": rounded(high), "num": len(values)}


def rounded(value: float) -> float:
    """A figure with five significant digits."""
    return float(f"{value:.5g}")


def forget(device: torch.device) -> None:
    """Frees what an earlier measurement left behind, and begins to count the peak of memory anew."""
    gc.collect()  # a trainer and its module hold each other
    if device.type == "cuda":
        torch.cuda.init()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def synchronise(device: torch.device) -> None:
    """Waits until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_calls(call: Callable[[int], object], device: torch.device, calls: int, budget: float = 0.5) -> list[float]:
    """Milliseconds per call, one figure for each batch of `calls` calls, for about `budget` seconds after a warm-up.

    call: receives 0, 1, 2, ..., so that it can rotate between inputs. A GPU is timed by its own events around a batch,
    a CPU by the host's clock."""
    for index in range(3):
        call(index)
    synchronise(device)
    started = time.perf_counter()
    for index in range(calls):
        call(index)
    synchronise(device)
    repeats = int(np.clip(budget / max(time.perf_counter() - started, 1e-6), 5, 50))
    if device.type == "cpu":
        return [_host_ms(call, calls) for _ in range(repeats)]
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repeats)]
    for begin, end in events:
        begin.record()
        for index in range(calls):
            call(index)
        end.record()
    torch.cuda.synchronize(device)
    return [begin.elapsed_time(end) / calls for begin, end in events]


def _host_ms(call: Callable[[int], object], calls: int) -> float:
    started = time.perf_counter()
    for index in range(calls):
        call(index)
    return (time.perf_counter() - started) * 1e3 / calls


def environment(device: torch.device) -> dict[str, Any]:
    """Hardware, driver, versions and commit, as plain values; None for what is not there."""
    found = describe_environment(device)
    found["cpu"] = describe_environment(torch.device("cpu"))["device"]
    found["cpu_cores"] = os.cpu_count()
    if device.type == "cuda":
        found["driver"] = _driver()
        found["gpu_memory_gib"] = rounded(torch.cuda.get_device_properties(device).total_memory / 2**30)
    return found | {name: _version(name) for name in ("triton", "numba", "numpy")}


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        lines = run(command, check=True, capture_output=True, text=True, timeout=30).stdout.split()
    except (OSError, SubprocessError):
        return None
    return lines[0] if lines else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def without_folders(value: Any) -> Any:
    """A value for JSON in which an absolute path keeps its last part only: results are read by others."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item) for item in value]
    return re.sub(r"(?<![\w.:/])/(?:[^\s/='\"]+/)+", ".../", value) if isinstance(value, str) else value


def slug(name: str) -> str:
    """A name as part of a file's name: small letters, digits and single dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


class Result:
    """The JSON file of one command, written anew after each part so that a long run that is cut short leaves one.

    Hardware and versions are asked for at the first writing: until then nothing delays what is measured."""

    def __init__(
        self,
        benchmark: str,
        label: str,
        device: torch.device,
        args: argparse.Namespace,
        argv: list[str],
        **parts: Any,
    ) -> None:
        """label: the benchmark's name, or what distinguishes its files; the device's name is put behind it.

        Without --out it lies in benchmarks/results, that of --quick in the folder for temporary files."""
        self._label, self._device = label, device
        self._out = args.out or (Path(tempfile.gettempdir()) if args.quick else RESULTS)
        self._head = {
            "benchmark": benchmark,
            "command": without_folders(f"python -m benchmarks.{benchmark} {shlex.join(argv)}".strip()),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._parts = without_folders(parts)

    @cached_property
    def environment(self) -> dict[str, Any]:
        """See `environment`."""
        return environment(self._device)

    @cached_property
    def path(self) -> Path:
        """Where the file lies."""
        name = f"{slug(self._label)}_{slug(self.environment['device'])}.json"
        return self._out if self._out.suffix == ".json" else self._out / name

    def write(self, **parts: Any) -> None:
        """Adds parts to the content and writes the file."""
        self._parts |= without_folders(parts)
        content = {**self._head, "environment": self.environment, **self._parts}
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
