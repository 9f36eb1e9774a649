"""What a command says last: figures, files, and what to think of them."""

from pathlib import Path
from typing import Any

from systems.runs.verdict import in_one_line
from utils.terminal.eta import format_duration


def summarise(report: dict[str, Any], seconds: float, trained: bool) -> str:
    """What was made in so many seconds and where it lies, in five lines at most.

    trained: whether it was now; a report of --test keeps the time of an earlier training."""
    folder, figures = Path(report["file"]).parent, [f"done in {format_duration(seconds)}"]
    figures += [f"training {format_duration(report['train_seconds'])}"] if trained and "train_seconds" in report else []
    figures += [f"{name} {report[name]:.4g}" for name in ("psnr", "ssim") if name in report]
    if "peak_gpu_memory_mib" in report:
        figures.append(f"GPU memory {report['peak_gpu_memory_mib'] / 1024:.1f} GiB at most")
    if "mesh_against_gt" in report:
        found = report["mesh_against_gt"]
        figures.append(
            f"chamfer {found['chamfer']:.4g} ({found['chamfer_permille']:.4g} per mille of the true mesh's diagonal), "
            f"F-score {found['fscore_0.5pct']:.4f} at 0.5 %, {found['fscore_1pct']:.4f} at 1 %"
        )
    lines = [", ".join(figures)]
    if files := report.get("mesh", {}).get("files"):
        together = [*files, *report["mesh"].get("beside", ()), *report["mesh"].get("lods", ())]
        lines.append(f"mesh:    {', '.join([str(folder / together[0]), *together[1:]])}")
    lines += [f"video:   {folder / report['video']}"] if "video" in report else []
    lines += [f"verdict: {in_one_line(report['verdict'])}"] if "verdict" in report else []
    if "page" in report:
        lines.append(f"report:  {folder / report['page']}, {Path(report['file']).name}")
    else:
        lines.append(f"metrics: {report['file']}")
    return "\n".join(lines)
