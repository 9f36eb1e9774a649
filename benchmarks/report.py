"""Writes the pages of figures from the JSON files in benchmarks/results and the floors of the design.

docs/benchmarks.md has the headlines, docs/experiments/figures.md every operation, curve and profile.

    python -m benchmarks.report"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.clock.table import whole_clock
from benchmarks.common import RESULTS, run_command
from benchmarks.details import (
    captures,
    folded_sets,
    long_work,
    mine,
    operations,
    photographs_with_truth,
    relit,
    run_of_launch,
    training,
)
from benchmarks.tables import UNKNOWN, Json, floors, number, predecessor, source, table, timing, trainings
from utils.errors import ConfigError, DataError
from utils.files import replacing
from utils.registry import ROOT

DOCUMENT = ROOT / "docs" / "benchmarks.md"
DETAILS = ROOT / "docs" / "experiments" / "figures.md"
FLOORS = ROOT / "benchmarks" / "floors.json"
Section = tuple[str | None, str, Callable[[Json], Iterator[str]]]  # benchmark, heading, what makes its tables
HEADER = """# Benchmarks

Written by `python -m benchmarks.report` from the JSON files in [benchmarks/results](../benchmarks/results), which hold
all figures, hardware and versions. A time is a median, with the 10th and 90th percentile in brackets. A result whose
command is no longer among these was measured at the commit that its line names. Every operation, curve and profile:
[experiments/figures.md](experiments/figures.md).

```bash
python -m benchmarks.ops
python -m benchmarks.train --config configs/neus-blender.yaml dataset.scene=lego --thresholds 32.2 34.1 --profile
python -m benchmarks.export --resume RUN
python -m benchmarks.memory --config configs/neus-blender.yaml dataset.scene=none
python -m benchmarks.clock.whole --demo --lego DIR --capture DIR --before CHECKOUT --predecessor CHECKOUT
python -m benchmarks.mine
python -m benchmarks.processes --config configs/neus-blender.yaml dataset.scene=lego --gpus 0 0,1
python -m benchmarks.folded_sets
python -m benchmarks.captures SET ...
python -m benchmarks.photographs_with_truth --work WORK SCENE ...
python -m benchmarks.scenes.relit
python -m benchmarks.report
```"""
DETAILS_HEADER = """# All figures

Written by `python -m benchmarks.report`, like the short page [benchmarks.md](../benchmarks.md): each operation in each
backend, the curves and profiles of trainings, and what each run of `launch.py` left behind."""


def read_results(folder: Path) -> dict[str, Json]:
    """All results by the names of their files. Raises DataError for a file that is not one."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.name] = json.loads(path.read_text(encoding="utf-8"))
            whole = isinstance(found[path.name], dict) and {"command", "environment"} <= found[path.name].keys()
        except ValueError:
            whole = False
        known = [benchmark for benchmark, _, _ in (*SECTIONS, *DETAILED)]
        if not whole or found[path.name].get("benchmark") not in known:
            raise DataError(f"{path}: expected the JSON of a benchmark, with command and environment. Run it again.")
    return found


def report(results: dict[str, Json], known: Json) -> str:
    """The text of the short page."""
    parts = [HEADER, *floors(known, list(results.values())), *predecessor(known["predecessor"], list(results.values()))]
    if trained := trainings(results):
        parts += ["## Trainings", trained]
    return "\n\n".join([*parts, *_sections(results, SECTIONS, "../")]) + "\n"


def details(results: dict[str, Json]) -> str:
    """The text of the page with all figures."""
    return "\n\n".join([DETAILS_HEADER, *_sections(results, DETAILED, "../../")]) + "\n"


def _sections(results: dict[str, Json], sections: Sequence[Section], root: str) -> Iterator[str]:
    """Each section that has a result, with the line that says where its figures come from.

    root: where the repository lies, seen from the page."""
    for benchmark, title, section in sections:
        mine = {name: result for name, result in results.items() if result.get("benchmark") == benchmark}
        if mine:
            yield f"## {title}"
        for name, result in mine.items():
            yield source(result, name, root)
            yield from section(result)


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
    labels = [" ".join([row["gpu"], *row.get("overrides", [])]) for row in result["runs"]]
    rows = zip(labels, result["runs"], strict=True)
    yield table(head, [[label, *(number(row.get(name), 4) for name in names)] for label, row in rows])


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
    yield (
        f"A small run of {result['steps']} steps, with a checkpoint every {result['checkpoint_every']}, is struck on a "
        'CPU with one thread. "Same weights" are those of a run that nothing struck, compared to the bit. A full disk '
        "is a limit of the operating system on the size of files; the lack of memory is an error raised within a step. "
        "Steps lost by two processes are counted from the log, every fourth step. `make soak` strikes runs again."
    )
    head = ["fault", "times", "steps lost, median", "at most", "what happens", "as said", "same weights"]
    rows = [
        [
            *(row["fault"], str(row["times"]), f"{row['lost_median']:g}", str(row["lost_most"]), row["expected"]),
            f"{row['as_expected']} of {row['times']}",
            UNKNOWN if row["same_weights"] is None else f"{row['same_weights']} of {row['times']}",
        ]
        for row in result["rows"]
    ]
    yield table(head, rows)


SECTIONS: Sequence[Section] = (
    ("export", "Export", _export),
    ("memory", "Memory of images", _memory),
    ("processes", "Several GPUs", _processes),
    ("view", "Live viewer", _view),
    ("faults", "Faults", _faults),
    ("clock.whole", "The whole clock", whole_clock),
)
DETAILED: Sequence[Section] = (
    ("ops", "Operations", operations),
    ("train", "Training", training),
    ("mine", "Cards, measured by their owners", mine),
    ("load", "Long work", long_work),
    ("captures", "Captures", captures),
    ("photographs_with_truth", "Levers on photographs with truth", photographs_with_truth),
    ("folded_sets", "Folded poses", folded_sets),
    ("scenes.relit", "Materials under another light", relit),
    (None, "Runs of launch.py", run_of_launch),
)


def work(argv: list[str]) -> None:
    """Writes both pages. Raises ConfigError for arguments, DataError for results that cannot be read."""
    if argv:
        raise ConfigError(f"command line: '{argv[0]}': benchmarks.report takes no arguments.")
    results = read_results(RESULTS)
    texts = {DOCUMENT: report(results, json.loads(FLOORS.read_text(encoding="utf-8"))), DETAILS: details(results)}
    for document, text in texts.items():
        with replacing(document) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(document)


if __name__ == "__main__":
    sys.exit(run_command(work))
