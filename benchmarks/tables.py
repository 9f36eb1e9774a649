"""Markdown tables of the results, and our figures beside the floors of the design and the predecessor."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

Json = dict[str, Any]
UNKNOWN = "–"
MIN_STEPS = 1000  # of a training beside the predecessor's
HELD_PARTS = 20  # of equal length, in results of long work
HELD = {  # what a process holds, in results of long work
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
SHARED = "at a time on the GPU"  # in the note of a time that was measured beside others
JUDGED = ("whole", "against_truth")  # where a result may hold the distance of its mesh from the truth


def number(value: float | None, digits: int = 3) -> str:
    """A figure with so many significant digits, without an exponent; a dash for None."""
    if value is None:
        return UNKNOWN
    text = f"{float(f'{value:.{digits}g}'):,.10f}".rstrip("0").rstrip(".")
    return text.replace(",", " ")


def timing(spread: Json | None) -> str:
    """A median with its 10th and 90th percentile."""
    if spread is None:
        return UNKNOWN
    return f"{number(spread['median'])} ({number(spread['p10'])}–{number(spread['p90'])})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is flush left, the others flush right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in (head, *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:]))


def hardware(result: Json) -> str:
    """The device, and how much of the CPU there was."""
    found = result["environment"]
    cores = found.get("cpu_cores", found.get("cpu_threads"))
    cpu = found.get("cpu", found["device"])
    return f"{cpu}, {cores} cores" if cpu == found["device"] else f"{found['device']}; {cpu}, {cores} cores"


def source(result: Json, file: str, root: str = "../") -> str:
    """One line: file, command, hardware, versions, commit, date.

    root: where the repository lies, seen from the page."""
    found = result["environment"]
    versions = [f"{name} {found[name]}" for name in ("torch", "cuda", "driver", "triton", "numba") if found.get(name)]
    when = f", {result['date'][:10]}" if "date" in result else ""
    return (
        f"[{file}]({root}benchmarks/results/{file}): `{result['command']}` on {hardware(result)}; "
        f"{', '.join(versions)}; commit {found['commit']}{when}."
    )


def trainings(results: dict[str, Json]) -> str:
    """A table of all trainings, a row each; empty where there are none. Of several seeds it shows the median; a time
    has a star where other trainings ran on the same GPU."""
    rows = []
    for file, result in results.items():
        if "benchmark" in result and "median" not in result:
            continue
        environment, figures = result["environment"], result.get("median", result)
        mesh = next((result[key] for key in JUDGED if "chamfer_permille" in result.get(key, {})), {})
        rows.append(
            [
                f"[{file.removesuffix('.json')}](../benchmarks/results/{file})",
                number(figures.get("steps", result.get("config", {}).get("trainer", {}).get("max_steps")), 9),
                number(figures.get("train_seconds")) + ("*" if SHARED in result.get("train_seconds_note", "") else ""),
                number(figures.get("psnr")),
                number(figures.get("ssim")),
                number(mesh.get("chamfer_permille")),
                f"{environment['device']}, {environment['commit']}",
            ]
        )
    head = ["run", "steps", "training, s", "PSNR, dB", "SSIM", "chamfer, ‰", "hardware, commit"]
    return f"{table(head, rows)}\n\n\\* other trainings ran on the same GPU meanwhile." if rows else ""


def floors(floors: Json, results: Sequence[Json]) -> Iterator[str]:
    """What the work of a step takes at least, what the predecessor takes, and what each GPU result says of ours."""
    measured = [
        result
        for result in results
        if result.get("benchmark") == "ops"
        and result["environment"]["cuda"]
        and result["config"]["samples"] == floors["samples"]
    ]
    yield "## Against the floors"
    yield (
        f"Milliseconds for {number(floors['samples'], 6)} samples, 16 levels × 2 features and 2^19 entries. Floors and "
        f"predecessor (tiny-cuda-nn, nerfacc, torch) were measured on {floors['hardware']}, when this was designed; "
        "ours come from the [operations](experiments/figures.md#operations)."
    )
    head = ["part of a step", "floor", "predecessor", *(f"ours, {r['environment']['device']}" for r in measured)]
    rows = [
        [part["part"], part["floor"], part["predecessor"], *(number(_sum(result, part["ours"])) for result in measured)]
        for part in floors["parts"]
    ]
    yield table(head, rows) + ("" if measured else "\n\nOurs have not been measured on a GPU yet.")


def _sum(result: Json, wanted: Sequence[Sequence[str]]) -> float | None:
    """Sum of the medians of operations, each in its fastest backend; None where one is missing."""
    total = 0.0
    for key in wanted:
        rows = [row for row in result["rows"] if [row[n] for n in ("op", "points", "precision", "pass")] == list(key)]
        if not rows:
            return None
        total += min(row["ms"]["median"] for row in rows)
    return total


def predecessor(theirs: Json, results: Sequence[Json]) -> Iterator[str]:
    """The predecessor's training beside ours of the same name."""
    yield "## Against instant-nsr-pl"
    yield f"Predecessor: {theirs['what']}."
    for run in theirs["runs"]:
        ours = [
            result
            for result in results
            if result.get("benchmark") == "train" and "median" in result and _is_plain(result["config"], run["name"])
        ]
        head = [run["name"], "predecessor", *map(_heading, ours)]
        rows = [
            ["training, s", run["seconds"], *(number(result["median"]["train_seconds"]) for result in ours)],
            ["ms per step", run["ms_per_step"], *(number(result["median"]["ms_per_step"]) for result in ours)],
            ["GPU ms per step", run["gpu_ms_per_step"], *(_gpu_ms(result) for result in ours)],
        ]
        for step, psnr in run["psnr"].items():
            rows.append([f"PSNR at step {step}, dB", f"{psnr:.1f}", *(_psnr_at(result, int(step)) for result in ours)])
        yield table(head, rows) + ("" if ours else "\n\nOurs has not been measured yet.")


def _is_plain(config: Json, name: str) -> bool:
    """Whether an experiment of that name computes what the predecessor's does, and more than a start of it."""
    model = config.get("model", {})
    background, gradient = model.get("background", {}), model.get("geometry", {}).get("grad_type", "analytic")
    is_same = background.get("name", "color") == "color" and gradient == "analytic"
    return config["name"] == name and is_same and config["trainer"]["max_steps"] >= MIN_STEPS


def _heading(result: Json) -> str:
    steps = f"{result['config']['trainer']['max_steps']:,}".replace(",", " ")
    return f"ours, {steps} steps, {result['environment']['device']}"


def _gpu_ms(result: Json) -> str:
    return number(result.get("profile", {}).get("gpu_ms_per_step"))


def _psnr_at(result: Json, step: int) -> str:
    """Median over the runs of the PSNR at a step."""
    found = [point["psnr"] for run in result["runs"] for point in run["curve"] if point["step"] == step]
    return f"{median(found):.1f}" if found else UNKNOWN
