"""Where each series lies in the frame of the first one, by the motions of the object between them."""

import logging
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from datasets.capture.series.matching import match_points
from datasets.capture.series.object_features import ObjectFeatures
from datasets.capture.series.similarity import SeriesMotion, find_motion
from datasets.points.sift import MIN_MATCHES
from utils.errors import CaptureError

log = logging.getLogger(__name__)
_MAX_RIVAL = 0.5  # of the support of a motion that another one may have


class UnplacedError(CaptureError):
    """The points of the object do not tell how it was moved."""


def place_series(series: Sequence[ObjectFeatures], root: str) -> tuple[list[np.ndarray], list[dict[str, object]]]:
    """The similarity (4, 4) from the frame of each series to that of the first, and the report of each pair of series.

    Series that do not match the first are placed through others. root: for messages. Raises UnplacedError where a
    series matches none of those placed, or where two motions have nearly the same support."""
    motions: dict[tuple[int, int], SeriesMotion] = {}
    report = []
    for a, b in combinations(range(len(series)), 2):
        pairs = match_points(series[a], series[b])
        motions[a, b] = found = find_motion(series[a], series[b], pairs)
        labels = f"{series[a].label} and {series[b].label}"
        log.info(
            "  series %s: %d pairs of points look alike, %d agree on one motion of the object, %d on another one",
            *(labels, len(pairs.first), found.support, found.rival),
        )
        report.append({"series": labels, "pairs": len(pairs.first), "support": found.support, "rival": found.rival})
    trusted = {pair: motion for pair, motion in motions.items() if problem(motion) is None}
    placed = {0: np.eye(4)}
    while len(placed) < len(series):
        links = [(trusted[pair].support, pair) for pair in trusted if (pair[0] in placed) != (pair[1] in placed)]
        if not links:
            raise UnplacedError(_explain(series, placed, motions, root))
        _, (a, b) = max(links)
        first_from_second = trusted[a, b].first_from_second
        if a in placed:
            placed[b] = placed[a] @ first_from_second
        else:
            placed[a] = placed[b] @ np.linalg.inv(first_from_second)
    return [placed[number] for number in range(len(series))], report


def problem(motion: SeriesMotion) -> str | None:
    """Why a motion cannot be trusted; None where it can."""
    if motion.support < MIN_MATCHES:
        return f"only {motion.support} pairs of points agree on one motion of the object, expected {MIN_MATCHES}"
    if motion.rival > _MAX_RIVAL * motion.support:
        return (
            f"{motion.support} pairs of points say that the object was moved one way, {motion.rival} that it was moved "
            f"another way: it looks alike from several sides"
        )
    return None


def _explain(
    series: Sequence[ObjectFeatures],
    placed: dict[int, np.ndarray],
    motions: dict[tuple[int, int], SeriesMotion],
    root: str,
) -> str:
    """The message for a series that cannot be placed: figures, and what to do."""
    pair, motion = max(
        ((pair, motion) for pair, motion in motions.items() if (pair[0] in placed) != (pair[1] in placed)),
        key=lambda item: item[1].support,
    )
    a, b = (series[number] for number in pair)
    return (
        f"{root}: the series {a.label} and {b.label} cannot be joined: {problem(motion)}. Series {a.label} has "
        f"{len(a.points)} points on the object, series {b.label} has {len(b.points)}. Let both show the same sides in "
        f"part: lay the object on its side, not upside down; take a third series of it leaning half-way; or put "
        f"something patterned on the object itself, a label or tape. If it was not moved, prepare all photos as one "
        f"folder with --series one."
    )
