"""The metrics that a page shows: their labels, how their values are written, and whether higher or lower is better."""

import json
from typing import Any

from utils.config.difference import flatten
from utils.config.schema import REQUIRED

_SHOWN_ELSEWHERE = "held_out", "environment", "warnings"  # blocks of metrics.json with sections of their own
_SIZE = "mesh.size."  # shown with its unit, as one figure
HEADLINE = {
    "psnr": "PSNR in dB",
    "psnr_inside": "PSNR of the object's pixels in dB",
    "ssim": "SSIM",
    "train_seconds": "seconds of training",
    "mesh.faces": "faces",
    "mesh.holes": "holes",
    "mesh.watertight": "watertight",
    "mesh.unseen_area_share": "share of the area that no photograph shows",
    "mesh_against_gt.chamfer_permille": "Chamfer distance, ‰ of the diagonal",
    "mesh_against_gt.fscore_0.5pct": "F-score at 0.5 %",
    "mesh_against_gt.fscore_1pct": "F-score at 1 %",
}
_SPELLED = {"psnr": "PSNR", "ssim": "SSIM", "fscore": "F-score", "gpu": "GPU", "mib": "MiB", "permille": "in ‰"}
_SPELLED |= {"0.5pct": "at 0.5 %", "1pct": "at 1 %"}
# Keys within their blocks for which a higher, or a lower, value is better.
_HIGHER = "psnr", "psnr_inside", "ssim", "fscore_0.5pct", "fscore_1pct", "normal_consistency"
_LOWER = "chamfer", "chamfer_permille", "accuracy", "completeness", "train_seconds", "seconds", "extraction_seconds"
_LOWER += "peak_memory_mib", "peak_gpu_memory_mib"


def text_of(value: Any) -> str:
    """A plain value as text for people; a dash if it is missing (REQUIRED)."""
    if value is REQUIRED:
        return "–"
    if isinstance(value, float):
        return f"{value:.5g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def figure_text(value: Any, digits: int = 3) -> str:
    """A measured value as text for people: so many digits, or a whole number in groups of three; yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return text_of(value)
    value = value if isinstance(value, int) else float(f"{value:.{digits}g}")
    if isinstance(value, int) or value.is_integer():
        return f"{value:,.0f}".replace(",", "\u202f")  # a narrow space that does not break
    return f"{value:.{digits}g}"


def size_text(count: int) -> str:
    """A number of bytes as text for people."""
    return f"{figure_text(count / 2**20)} MiB" if count >= 2**20 else f"{figure_text(max(1.0, count / 2**10))} KiB"


def numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """All numbers and truth values in metrics.json by dotted key, without those of single views."""
    kept = {key: value for key, value in metrics.items() if key not in _SHOWN_ELSEWHERE}
    flat = {key: value for key, value in flatten(kept).items() if not key.startswith(_SIZE)}
    return {key: value for key, value in flat.items() if isinstance(value, int | float)}


def headline(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The most important metrics, as (label, value)."""
    values = numbers(metrics)
    size = metrics.get("mesh", {}).get("size")
    told = [] if size is None else [("width × depth × height", length_text(size))]
    return [(label, figure_text(values[key])) for key, label in HEADLINE.items() if key in values] + told


def length_text(size: dict[str, Any]) -> str:
    """The block `mesh.size` of metrics.json as text for people: in millimetres below a metre."""
    lengths, unit = [size[key] for key in ("width", "depth", "height")], size["unit"]
    if unit == "metres":
        lengths, unit = (lengths, "m") if max(lengths) >= 1.0 else ([1000.0 * length for length in lengths], "mm")
    return f"{' × '.join(figure_text(length) for length in lengths)} {unit}"


def label_of(key: str) -> str:
    """The label of a dotted key of metrics.json."""
    block, _, name = key.partition(".")
    block = "mesh against the truth" if block == "mesh_against_gt" else block
    words = (f"{block}: {name}" if name else block).replace("_", " ").split(" ")
    return " ".join(_SPELLED.get(word, word) for word in words)


def shown_name(picture: str) -> str:
    """What people call a picture of a held-out view."""
    return {"truth": "photograph", "rgb": "rendering"}.get(picture, picture)


def is_cost(key: str) -> bool:
    """Whether a dotted key is a time or an amount of memory."""
    return any(part.endswith(("seconds", "_mib")) for part in key.split("."))  # also of a block of seconds


def best_of(key: str, values: list[Any]) -> list[int]:
    """Indices of the best values of a dotted key; [] if all are equal, one is missing, or neither way is better."""
    name = key.partition(".")[2] or key
    if name not in _HIGHER + _LOWER or REQUIRED in values or len(set(values)) == 1:
        return []
    best = max(values) if name in _HIGHER else min(values)
    return [index for index, value in enumerate(values) if value == best]
