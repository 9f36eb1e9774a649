"""Which figures of a run a page shows, what they are called, how they are written, and which way is better."""

import json
from typing import Any

from utils.config.difference import flatten
from utils.config.schema import REQUIRED

_ELSEWHERE = "held_out", "environment", "warnings"  # blocks of metrics.json that have a place of their own
HEADLINE = {
    "psnr": "PSNR in dB",
    "ssim": "SSIM",
    "train_seconds": "seconds of training",
    "mesh.faces": "faces",
    "mesh.holes": "holes",
    "mesh_against_gt.chamfer_permille": "Chamfer distance, ‰ of the diagonal",
    "mesh_against_gt.fscore_0.5pct": "F-score at 0.5 %",
    "mesh_against_gt.fscore_1pct": "F-score at 1 %",
}
# Keys within their blocks; whether a higher or a lower value is better.
_HIGHER = "psnr", "ssim", "fscore_0.5pct", "fscore_1pct", "normal_consistency"
_LOWER = "chamfer", "chamfer_permille", "accuracy", "completeness", "train_seconds", "seconds", "extraction_seconds"
_LOWER += "peak_memory_mib", "peak_gpu_memory_mib"


def text_of(value: Any) -> str:
    """A plain value as a person would write it; what is absent is a dash."""
    if value is REQUIRED:
        return "–"
    if isinstance(value, float):
        return f"{value:.5g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """All numbers, and what is true or false, of metrics.json by their dotted keys; not those of single views."""
    kept = {key: value for key, value in metrics.items() if key not in _ELSEWHERE}
    return {key: value for key, value in flatten(kept).items() if isinstance(value, int | float)}


def headline(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures that tell most, as (what it is, value)."""
    found = numbers(metrics)
    return [(label, text_of(found[key])) for key, label in HEADLINE.items() if key in found]


def label_of(key: str) -> str:
    """What a dotted key of metrics.json is called."""
    block, _, name = key.partition(".")
    block = "mesh against the truth" if block == "mesh_against_gt" else block
    return (f"{block}: {name}" if name else block).replace("_", " ")


def is_cost(key: str) -> bool:
    """Whether a dotted key is of time or memory."""
    return key.endswith(("seconds", "_mib"))


def best_of(key: str, values: list[Any]) -> list[int]:
    """Which of the values of a dotted key are the best; none where they agree, one is absent or nothing is better."""
    name = key.partition(".")[2] or key
    if name not in _HIGHER + _LOWER or REQUIRED in values or len(set(values)) == 1:
        return []
    best = max(values) if name in _HIGHER else min(values)
    return [index for index, value in enumerate(values) if value == best]
