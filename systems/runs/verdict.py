"""What a run is worth, in one word, with the reasons and what to do about each: the thresholds are in this file and in
docs/viewer-and-report.md."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from utils.terminal.numbers import counted

Grade = Literal["good", "fair", "poor"]
_WORST = ("good", "fair", "poor")  # a run is as good as its worst reason


@dataclass(frozen=True)
class Limit:
    """A figure of metrics.json, from which value on it is fair and poor, and what to do then."""

    key: str  # dotted
    fair: float
    poor: float | None  # None: never
    says: str  # with {0} for the value, {1} for the value with its noun
    advice: str
    noun: str = ""

    def grade(self, value: float) -> Grade:
        """Where the value lies; a higher value is worse if `poor`, or `fair` alone, is above `fair`."""
        sign = 1.0 if self.poor is None or self.poor > self.fair else -1.0
        if self.poor is not None and sign * value >= sign * self.poor:
            return "poor"
        return "fair" if sign * value >= sign * self.fair else "good"


_CAMERAS = "check the camera positions, train longer (trainer.max_steps), or take sharper photographs in even light"
_MORE = "take more photographs, from all sides and heights, each overlapping the next by half"
LIMITS = (
    Limit("psnr", 25.0, 20.0, "held-out views differ from their photographs: PSNR {0:.1f} dB", _CAMERAS),
    Limit("ssim", 0.85, 0.65, "structure differs from the photographs: SSIM {0:.2f}", _CAMERAS),
    Limit("psnr_drop", 6.0, 10.0, "one held-out view is {0:.1f} dB worse than the mean", "look at the worst view in "
          "the report: its photograph may be blurred or its camera wrong, or a side of the object was hardly "
          "photographed"),
    Limit("sharpness", 0.6, 0.3, "renderings have {0:.0%} of the photographs' detail: blurred",
          "train longer, try configs/quality/high.yaml, or check the camera positions"),
    Limit("train_views", 24.0, 8.0, "learned from {1} only", _MORE, "photograph"),
    Limit("mesh.holes", 1.0, 50.0, "{1} in the mesh",
          "photograph what is open, or close it: export.close_holes=1, export.bottom=closed for the underside", "hole"),
    Limit("mesh.unseen_area_share", 0.1, 0.3, "no photograph shows {0:.0%} of the surface: it is made up",
          "photograph those places (red in the report's views mode), or cut them off: export.crop=visible"),
    Limit("mesh.floaters_dropped", 20.0, None, "{0:.0f} loose pieces were dropped",
          "give masks, or a tighter region (model.radius)"),
    Limit("mesh.components", 2.0, 20.0, "the mesh falls into {0:.0f} pieces",
          "raise export.min_component if they do not belong to the object, or give masks"),
    Limit("mesh_against_gt.chamfer_permille", 5.0, 15.0, "{0:.1f} per mille of the diagonal from the true surface",
          "train longer, or try configs/quality/high.yaml"),
)  # fmt: skip


@dataclass(frozen=True)
class Reason:
    """Why a run is not good, and what to do."""

    grade: Grade
    says: str
    advice: str


def judge(metrics: dict[str, Any]) -> dict[str, Any]:
    """The verdict on the content of metrics.json: `grade` good, fair or poor; `reasons`, the worst first, each with a
    grade, what it says and an advice. What was not measured does not count, but without a mesh a run is poor."""
    reasons = sorted(_reasons(metrics), key=lambda reason: -_WORST.index(reason.grade))
    grade = reasons[0].grade if reasons else "good"
    return {"grade": grade, "reasons": [asdict(reason) for reason in reasons]}


def _reasons(metrics: dict[str, Any]) -> Iterator[Reason]:
    if "error" in metrics.get("mesh", {}):
        yield Reason("poor", "there is no mesh", "read the error of the export")
    for limit in LIMITS:
        value = _value(metrics, limit.key)
        if value is not None and (grade := limit.grade(value)) != "good":
            yield Reason(grade, limit.says.format(value, counted(round(value), limit.noun)), limit.advice)


def _value(metrics: dict[str, Any], key: str) -> float | None:
    """The number of a dotted key, None if it was not measured; `psnr_drop` is made of those of the held-out views."""
    if key == "psnr_drop":
        found = [view["psnr"] for view in metrics.get("held_out", {}).get("views", ()) if "psnr" in view]
        return sum(found) / len(found) - min(found) if found else None
    block, _, name = key.rpartition(".")
    value = (metrics.get(block, {}) if block else metrics).get(name)
    return float(value) if isinstance(value, int | float) else None


def in_one_line(verdict: dict[str, Any]) -> str:
    """The verdict for a terminal: the grade, the two worst reasons, and what to do about the first."""
    reasons = verdict["reasons"]
    if not reasons:
        return verdict["grade"]
    more = f" and {len(reasons) - 2} more" if len(reasons) > 2 else ""
    said = "; ".join(reason["says"] for reason in reasons[:2])
    return f"{verdict['grade']}: {said}{more}. To do: {reasons[0]['advice']}."
