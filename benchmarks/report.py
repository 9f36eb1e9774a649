"""Writes docs/benchmarks.md from the JSON files in benchmarks/results and the floors of the design.

python -m benchmarks.report"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common import RESULTS, run_command
from benchmarks.footprint import FIGURES, NOTES
from benchmarks.tables import UNKNOWN, Json, floors, number, predecessor, source, table, timing
from utils.errors import ConfigError, DataError
from utils.files import replacing
from utils.registry import ROOT

DOCUMENT = ROOT / "docs" / "benchmarks.md"
FLOORS = ROOT / "benchmarks" / "floors.json"
SHOWN_KERNELS = 10
HEADER = """# Benchmarks

Written by `python -m benchmarks.report` from the JSON files in [benchmarks/results](../benchmarks/results), which hold
all figures, hardware and versions. A time is a median, with the 10th and 90th percentile in brackets.

```bash
python -m benchmarks.ops
python -m benchmarks.train --config configs/neus-blender.yaml dataset.scene=lego --thresholds 32.2 34.1 --profile
python -m benchmarks.train --config configs/neus-blender.yaml dataset.scene=lego --against PATH_TO_INSTANT_NSR_PL
python -m benchmarks.export --resume RUN
python -m benchmarks.memory --config configs/neus-blender.yaml dataset.scene=none
python -m benchmarks.processes --config configs/neus-blender.yaml dataset.scene=lego --gpus 0 0,1
python -m benchmarks.view --config configs/neus-demo.yaml
python -m benchmarks.load
python -m benchmarks.report
```"""


def read_results(folder: Path) -> dict[str, Json]:
    """All results by the names of their files. Raises DataError for a file that is not one."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.name] = json.loads(path.read_text(encoding="utf-8"))
            whole = isinstance(found[path.name], dict) and {"command", "environment"} <= found[path.name].keys()
        except ValueError:
            whole = False
        if not whole or found[path.name].get("benchmark") not in [benchmark for benchmark, _, _ in SECTIONS]:
            raise DataError(f"{path}: expected the JSON of a benchmark, with command and environment. Run it again.")
    return found


def report(results: dict[str, Json], known: Json) -> str:
    """The text of the document."""
    parts = [HEADER, *floors(known, list(results.values())), *predecessor(known["predecessor"], list(results.values()))]
    for benchmark, title, section in SECTIONS:
        mine = {name: result for name, result in results.items() if result.get("benchmark") == benchmark}
        if mine:
            parts.append(f"## {title}")
        for name, result in mine.items():
            parts += [source(result, name), *section(result)]
    return "\n\n".join(parts) + "\n"


def _ops(result: Json) -> Iterator[str]:
    config = result["config"]
    yield (
        f"{config['samples']} samples of {config['rays']} rays. Copy bandwidth {number(result['copy_gb_per_s'])} GB/s. "
        "GB/s counts what has to be read and written once; `counted` in the file says how."
    )
    head = ["operation", "points", "precision", "backend", "pass", "ms", "eager ms", "GB/s", "of copy"]
    yield table(
        head,
        [
            [
                *(row[name] for name in ("op", "points", "precision", "backend", "pass")),
                timing(row["ms"]),
                timing(row.get("eager_ms")),
                number(row["gb_per_s"]),
                f"{100.0 * row['bandwidth_share']:.0f} %",
            ]
            for row in result["rows"]
        ],
    )


def _train(result: Json) -> Iterator[str]:
    if "median" in result:
        yield from _runs(result)
    if "profile" in result:
        yield from _profile(result["profile"])
    if "sweep" in result:
        rows = [
            [
                row["varied"],
                str(row["value"]),
                timing(row.get("ms_per_step")),
                number(row.get("peak_gpu_reserved_mib")),
                number(row.get("budget_filled")),
                row.get("failed", ""),
            ]
            for row in result["sweep"]
        ]
        yield table(["varied", "value", "ms per step", "GPU memory, MiB", "budget filled", ""], rows)
    if "against" in result:
        head = ["whole command, training and test pass", "s", "s to last checkpoint", "ms per step", "PSNR, dB", ""]
        names = ("seconds", "seconds_to_last_checkpoint", "ms_per_step")
        both = {"instant-nsr-pl": result["against"]["theirs"], "ours": result["against"]["ours"]}
        yield table(
            head,
            [
                [name, *(number(row[key]) for key in names), number(row["psnr"], 4), row.get("failed", "")]
                for name, row in both.items()
            ],
        )


def _runs(result: Json) -> Iterator[str]:
    runs, median = result["runs"], result["median"]
    names = ["steps", "train_seconds", "command_to_first_step_seconds", "psnr", "peak_gpu_reserved_mib"]
    head = ["run", "steps", "training, s", "command to first step, s", "PSNR, dB", "GPU memory, MiB", "ms per step"]
    head += [f"s to {point['psnr']:g} dB" for point in median["thresholds"]]
    rows = [
        [
            f"seed {run['seed']}",
            *(number(run.get(name), 4) for name in names),
            timing(run["ms_per_step"]),
            *(number(point["seconds"]) for point in run["thresholds"]),
        ]
        for run in runs
    ]
    if len(runs) > 1:
        times = [number(median["ms_per_step"]), *(number(point["seconds"]) for point in median["thresholds"])]
        rows.append(["median", *(number(median.get(name), 4) for name in names), *times])
    yield table(head, rows)
    if curve := runs[0].get("curve"):
        columns = ("step", "seconds", "psnr", "samples", "rays")
        shown = [[str(point["step"]), *(number(point[name], 4) for name in columns[1:])] for point in curve]
        yield table([f"step (seed {runs[0]['seed']})", "training, s", "PSNR, dB", "samples", "rays"], shown)


def _profile(found: Json) -> Iterator[str]:
    waits = ", ".join(f"{name} {number(count)}" for name, count in found["host_waits_per_100_steps"].items())
    shares = (found[name] for name in ("gpu_busy_share", "gpu_busy_share_without_profiler") if found.get(name))
    busy = ", without the profiler ".join(f"{100.0 * share:.0f} %" for share in shares)
    yield (
        f"Profile of {found['steps']} steps: {number(found['ms_per_step'])} ms per step, without the profiler "
        f"{number(found['ms_per_step_without_profiler'])}; GPU {number(found['gpu_ms_per_step'])} ms, "
        f"{number(found['kernels_per_step'])} kernels and {number(found['host_launches_per_step'])} launches of the "
        f"host a step{f'; GPU busy {busy}' if busy else ''}. Waits of the host in 100 steps: {waits or 'none'}."
    )
    if found["kernels"]:
        rows = [
            [
                f"`{row['name']}`",
                number(row["us_per_step"]),
                number(row["calls_per_step"]),
                f"{100 * row['share']:.0f} %",
            ]
            for row in found["kernels"][:SHOWN_KERNELS]
        ]
        yield table(["kernel", "µs per step", "calls per step", "share"], rows)


def _export(result: Json) -> Iterator[str]:
    view = result["view"]
    yield f"One view of {view['size'][0]}×{view['size'][1]} pixels: {timing(view['ms'])} ms."
    rows = [
        [
            f"{mesh['resolution']}³",
            *(number(mesh.get(name)) for name in ("seconds", "peak_gpu_memory_mib", "peak_memory_mib")),
            number(mesh.get("vertices"), 9),
            mesh.get("failed", ""),
        ]
        for mesh in result["meshes"]
    ]
    yield table(["mesh", "s", "GPU memory, MiB", "process so far, MiB", "vertices", ""], rows)


def _memory(result: Json) -> Iterator[str]:
    width, height = result["size"]
    yield f"{result['views']} generated images of {width}×{height} pixels, in the memory of the GPU or of the host."
    names = ("images_mib", "peak_gpu_allocated_mib", "peak_gpu_reserved_mib", "peak_process_memory_mib")
    rows = [
        [row["pixels_on"], timing(row["ms_per_step"]), *(number(row.get(name), 4) for name in names)]
        for row in result["rows"]
    ]
    yield table(
        ["pixels on", "ms per step", "images, MiB", "GPU memory in use, MiB", "reserved, MiB", "process, MiB"], rows
    )


def _processes(result: Json) -> Iterator[str]:
    yield f"`{result['config']['name']}`, a process for each GPU, each with the whole sample budget of a step."
    head = ["--gpu", "processes", "steps", "training, s", "rays per second", "against the first", "PSNR, dB"]
    names = ("processes", "steps", "train_seconds", "rays_per_s", "rays_against_first", "psnr")
    yield table(head, [[row["gpu"], *(number(row.get(name), 4) for name in names)] for row in result["runs"]])


def _view(result: Json) -> Iterator[str]:
    name, window, timed = result["config"]["name"], result["window"], result["window"] - result["skipped"]
    turns = len(result["rows"][0]["each_ms"])
    yield (
        f"`{name}` in {turns} windows of {window} steps of each kind, in turns, of which the last {timed} are timed; "
        "each is compared with the window without a viewer of its turn."
    )
    names = ("ms_per_step", "ms_slower_percent", "cpu_ms_per_step", "cpu_ms_slower_percent")
    rows = [[row["viewer"], *(timing(row[name]) for name in names)] for row in result["rows"]]
    yield table(["viewer", "ms per step", "slower, %", "CPU ms per step", "more, %"], rows)


def _faults(result: Json) -> Iterator[str]:
    strikes = sum(row["times"] for row in result["rows"])
    kinds = len(result["rows"])
    yield f"{strikes} strikes of {kinds} kinds: the table stands in [reliability](reliability.md#measured)."


def _load(result: Json) -> Iterator[str]:
    """What long work holds at its beginning and at its end."""
    told = {
        "steps": "One training of {} steps. Second is after the first of {} parts of equal length.",
        "cycles": "A run that was resumed {} times for two more steps and a test pass each. Second is after the first "
        "of {} parts.",
    }
    for part in (part for part in told if part in result):
        found = result[part]
        cut = "" if found[part] == found["asked"] else f" It was cut short: {number(found['asked'], 9)} were asked for."
        yield told[part].format(number(found[part], 9), NOTES) + cut
        head = ["held", "first", "second", "last", "largest", f"growth for {number(found['growth_per'], 9)} {part}"]
        rows = [
            [FIGURES[name], *(number(row[key], 4) for key in ("first", "second", "last", "largest", "growth"))]
            for name, row in found["figures"].items()
        ]
        yield table(head, rows)
    if "images" in result:
        row = result["images"]
        width, height = row["size"]
        yield f"{number(row['images'], 9)} generated photographs of {width}×{height} pixels are opened."
        names = ("seconds", "pixels_mib", "before_mib", "after_mib", "peak_mib", "beyond_pixels_mib")
        head = ["photographs", "s", "pixels, MiB", "process before, MiB", "after, MiB", "at most, MiB"]
        rows = [[number(row["images"], 9), *(number(row[name], 4) for name in names)]]
        yield table([*head, "at most, beyond the pixels, MiB"], rows)


def _demo(result: Json) -> Iterator[str]:
    """A run's metrics.json as launch.py leaves it, with the command beside."""
    mesh = result.get("mesh", {})
    figures = {
        "steps": number(result.get("steps"), 9),
        "training, s": number(result.get("train_seconds")),
        "PSNR, dB": number(result.get("psnr")),
        "SSIM": number(result.get("ssim")),
        "peak memory, MiB": number(result.get("peak_memory_mib"), 4),
        f"mesh at {mesh.get('resolution', UNKNOWN)}³, s": number(mesh.get("seconds")),
        "vertices": number(mesh.get("vertices"), 9),
    }
    figures |= {name.replace("_", " "): number(value) for name, value in result.get("mesh_against_gt", {}).items()}
    yield table(["figure", "value"], list(figures.items()))


SECTIONS = (
    ("ops", "Operations", _ops),
    ("train", "Training", _train),
    ("export", "Export", _export),
    ("memory", "Memory of images", _memory),
    ("processes", "Several GPUs", _processes),
    ("view", "Live viewer", _view),
    ("faults", "Faults", _faults),
    ("load", "Long work", _load),
    (None, "Runs of launch.py", _demo),
)


def work(argv: list[str]) -> None:
    """Writes the document. Raises ConfigError for arguments, DataError for results that cannot be read."""
    if argv:
        raise ConfigError(f"command line: '{argv[0]}': benchmarks.report takes no arguments.")
    text = report(read_results(RESULTS), json.loads(FLOORS.read_text(encoding="utf-8")))
    with replacing(DOCUMENT) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(DOCUMENT)


if __name__ == "__main__":
    sys.exit(run_command(work))
