"""The tables of the page with all figures: operations, curves and profiles of trainings, long work, each run."""

from collections.abc import Iterator

from benchmarks.tables import HELD, HELD_PARTS, UNKNOWN, Json, number, table, timing
from benchmarks.truth.table import table_of

SHOWN_KERNELS = 10


def operations(result: Json) -> Iterator[str]:
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


def folded_sets(result: Json) -> Iterator[str]:
    yield (
        "Models of objects whose sides look alike, with cameras of one side placed at another, and the same photos "
        "with true cameras: how many of them the check of `prepare.py` doubts."
    )
    names = ("set", "photos", "times", "folded_doubted", "true_doubted", "true_warned")
    rows = [[str(row[name]) for name in names] for row in result["rows"]]
    yield table(["set", "photographs", "made", "folded, doubted", "true, doubted", "true, warned"], rows)


def relit(result: Json) -> Iterator[str]:
    sizes = result["sizes"]
    yield (
        f"Surfaces whose material was found from photographs of {sizes['pixels']}² pixels under one light, shown under "
        "another one: dB within the object, beside the photographs as a texture."
    )
    names = ("relit_psnr", "unrelit_psnr", "gain", "roughness", "seconds")
    rows = [
        [
            scene,
            f"{found['photographs']} by {found['first']}",
            found["second"],
            *(number(found[name]) for name in names),
        ]
        for scene, found in result["scenes"].items()
    ]
    yield table(["scene", "photographs", "shown by", "relit", "as a texture", "gain", "roughness found", "s"], rows)


def mine(result: Json) -> Iterator[str]:
    card, parts = result["card"], {name: result.get(name, {}) for name in ("neus", "nerf")}
    yield f"{card.get('capability', 'CPU')}, {number(card.get('memory_gib'))} GiB, {card['system']}."
    names = ("estimated_ms_per_step", "measured_by_estimated", "compile_seconds", "peak_gpu_memory_mib")
    rows = [
        [name, timing(part.get("ms_per_step")), *(number(part.get(key)) for key in names), part.get("failed", "")]
        for name, part in parts.items()
    ]
    yield table(["", "ms per step", "estimated", "measured / estimated", "compiling, s", "GPU memory, MiB", ""], rows)
    if "seconds" in (mesh := result.get("mesh", {})):
        yield f"Mesh of {mesh['resolution']}³: {number(mesh['seconds'])} s."


def captures(result: Json) -> Iterator[str]:
    yield "Photographs with truth by the commands of README: cameras, masks, and everything in the mesh's file."
    names = ("set", "cameras", "centre_error_share", "mask_iou", "worst_mask_iou", "chamfer_permille", "fscore_1pct")
    names += ("components", "watertight", "unseen_area_share", "prepare_seconds", "launch_seconds")
    rows = [[str(row["set"]), *(number(row.get(name)) for name in names[1:])] for row in result["rows"]]
    yield table([name.replace("_", " ") for name in names], rows)


def photographs_with_truth(result: Json) -> Iterator[str]:
    masks = "Sets are trained with their true masks. " if result["true_masks"] else ""
    yield (
        f"{masks}Medians over the runs that are done, with largest less smallest in brackets; everything in a mesh's "
        "file counts."
    )
    yield table_of(result["rows"])


def training(result: Json) -> Iterator[str]:
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


def run_of_launch(result: Json) -> Iterator[str]:
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
    yield table(["figure", "value"], [row for row in figures.items() if row[1] != UNKNOWN])


def long_work(result: Json) -> Iterator[str]:
    """What long work holds at its beginning and at its end."""
    told = {
        "steps": "One training of {} steps. Second is after the first of {} parts of equal length.",
        "cycles": "A run that was resumed {} times for two more steps and a test pass each. Second is after the first "
        "of {} parts.",
    }
    for part in (part for part in told if part in result):
        found = result[part]
        cut = "" if found[part] == found["asked"] else f" It was cut short: {number(found['asked'], 9)} were asked for."
        yield told[part].format(number(found[part], 9), HELD_PARTS) + cut
        head = ["held", "first", "second", "last", "largest", f"growth for {number(found['growth_per'], 9)} {part}"]
        rows = [
            [HELD[name], *(number(row[key], 4) for key in ("first", "second", "last", "largest", "growth"))]
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
