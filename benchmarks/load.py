"""Whether long work leaves memory, file handles and disk as they were.

    python -m benchmarks.load

One long training, a run that is resumed again and again, and a scene of many photographs, each in a process of its own
on generated data. What is measured does not depend on speed, so parts may run side by side."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import torch

from benchmarks import common
from benchmarks.common import Result, progress
from benchmarks.endurance import PARTS, SMALL
from benchmarks.footprint import grown, summary
from benchmarks.photographs import write_scene
from benchmarks.tables import Json
from utils.errors import ConfigError
from utils.registry import ROOT

QUICK = {"steps": 40, "cycles": 3, "images": 6}
PER = {"steps": 100_000, "cycles": 1000}  # what growth is told for
SCENE = 20, (16, 16)  # photographs of what is trained on, and their size
PHOTOGRAPH = 640, 480


def samples(part: str, folder: Path, number: int, gpu: str) -> Iterator[Json]:
    """What the process that does a part says while it does it; raises RuntimeError where it fails."""
    command = [sys.executable, "-m", "benchmarks.endurance", part, str(folder), str(number), gpu]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            yield json.loads(line)
    if process.returncode != 0:
        raise RuntimeError(f"{part}: the process ended with {process.returncode}")


class Bench:
    """The parts, of which each writes the file anew with every sample."""

    def __init__(self, result: Result, device: torch.device) -> None:
        self.result, self.gpu = result, "cpu" if device.type == "cpu" else str(device.index or 0)
        self._lock, self.grown = Lock(), {}

    def measure(self, part: str, number: int) -> None:
        """Does a part in a folder that is removed afterwards."""
        with tempfile.TemporaryDirectory(prefix=f"load-{part}-") as name:
            folder = Path(name)
            views, size = (number, PHOTOGRAPH) if part == "images" else SCENE
            write_scene(folder / "scene", views, size)
            noted = []
            for sample in samples(part, folder, number, self.gpu):
                noted.append(sample)
                said = ", ".join(f"{name} {value:g}" for name, value in sample.items())
                progress(f"{part}: {said}")
                self._write(part, noted, number)

    def _write(self, part: str, noted: list[Json], number: int) -> None:
        with self._lock:
            if part == "images":
                row = noted[-1]
                beyond = common.rounded(row["peak_mib"] - row["pixels_mib"])
                self.result.write(images={**row, "size": list(PHOTOGRAPH), "beyond_pixels_mib": beyond})
                return
            figures = summary(noted, part, PER[part])
            self.grown[part] = grown(figures)
            content = {
                part: noted[-1][part],
                "asked": number,
                "growth_per": PER[part],
                "figures": figures,
                "samples": noted,
            }
            self.result.write(**{part: content})


def work(argv: list[str]) -> int:
    """Does the parts; returns 1 where file handles, threads or checkpoints have become more."""
    parser = common.Parser("load", "Whether long work leaves memory, file handles and disk as they were.")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="(default: all)")
    parser.add_argument("--steps", type=common.whole_number(20), default=200_000, help="of the long training")
    parser.add_argument("--cycles", type=common.whole_number(2), default=1000, help="how often a run is resumed")
    parser.add_argument("--images", type=common.whole_number(1), default=2000, help="photographs of a scene")
    parser.add_argument("--side_by_side", type=common.whole_number(1), default=1, metavar="N", help="parts at a time")
    args = parser.parse_args(argv)
    if sys.platform != "linux":
        raise ConfigError("benchmarks.load reads what a process holds from /proc, which Linux alone has.")
    device = common.chosen_device(args.device)
    bench = Bench(Result("load", "load", device, args, argv, settings=SMALL), device)
    bench.result.write()
    numbers = {part: min(getattr(args, part), QUICK[part]) if args.quick else getattr(args, part) for part in PARTS}
    with ThreadPoolExecutor(args.side_by_side) as pool:
        for done in [pool.submit(bench.measure, part, numbers[part]) for part in dict.fromkeys(args.parts)]:
            done.result()
    print(bench.result.path)
    more = [f"{part}: {', '.join(names)}" for part, names in bench.grown.items() if names]
    if more:
        progress(f"has become more: {'; '.join(more)}")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(common.run_command(work))
