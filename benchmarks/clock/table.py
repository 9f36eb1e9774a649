"""The table of a whole clock: a row for each stage, a column for each checkout with cold and with warm caches."""

from collections.abc import Iterator

from benchmarks.clock.runs import STAGES
from benchmarks.tables import UNKNOWN, Json, number, table, timing


def whole_clock(result: Json) -> Iterator[str]:
    """A table for each task."""
    commits = ", ".join(f"{name} {commit}" for name, commit in result["commits"].items())
    dropped = {True: "Files were read from disk in cold runs. ", False: "Files may have lain in memory. "}
    yield (
        f"Seconds by stage; total is from the command to its last line, exit what follows. {commits}. "
        f"{dropped.get(result['page_cache_dropped'], '')}Settings: {' '.join(result['overrides']) or 'as shipped'}."
    )
    for task in dict.fromkeys(row["task"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["task"] == task]
        shown = [stage for stage in STAGES if any(stage in row["seconds"] for row in rows)]
        cells = [[stage.replace("_", " "), *(_cell(row, stage) for row in rows)] for stage in shown]
        cells.append(["PSNR, dB", *(number(_last(row, "psnr")) for row in rows)])
        cells.append(["GPU memory, MiB", *(number(_last(row, "peak_gpu_memory_mib"), 4) for row in rows)])
        heads = [f"{row['tree']}, {row['cache']}, {len(row['runs'])}" for row in rows]
        yield table([f"{task}, runs", *heads], [cell for cell in cells if set(cell[1:]) != {UNKNOWN}])


def _cell(row: Json, stage: str) -> str:
    spread = row["seconds"].get(stage)
    return number(spread["median"]) if spread and spread["num"] == 1 else timing(spread)


def _last(row: Json, figure: str) -> float | None:
    return next((run[figure] for run in reversed(row["runs"]) if figure in run), None)
