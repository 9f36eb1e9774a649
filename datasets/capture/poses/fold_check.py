"""Whether the poses of a model can be true: a model may fold two like sides of an object onto each other.

Such a model has small reprojection errors. What gives it away is the order of the frames: neighbours that match lie far
apart in it, frames of one place lack what the others show there, and the cameras of a turntable jump or turn back."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from datasets.capture.poses.contradictions import Contradictions, find_contradictions
from datasets.capture.poses.revisits import Revisits, find_revisits
from datasets.capture.poses.ring_motion import RingMotion, angle_between, moves, ring_motion

_MAX_NEIGHBOURS = 0.02  # of the neighbours may contradict the model; good models had none, the least fit 84 % of theirs
_MAX_SEAMS = 1  # neighbours that contradict the model, though each agrees with its other neighbour
_MAX_PAIRS, _MIN_PAIRS = 0.35, 20  # of all pairs; good models had up to 14 %: what repeats in a scene matches wrongly
_ENOUGH_NEIGHBOURS = 0.5  # of the images: so many pairs of neighbours that match tell more than all other pairs
_MIN_SHARED, _MIN_REVISITS = 0.7, 5  # of what neighbours share; pairs. Good models had 0.88 to 1.1, folded ones 0.4
_MIN_RING = 5  # cameras that tell a circle
_MAX_OFF_AXIS, _MAX_TILT = 1.5, 6.0  # degrees: of the median step from one axis, between the axes of the positions
_GOOD_OFF_AXIS = 0.7  # degrees: true models had 0.1; one that was 7 degrees wrong, bent between bare sides, had 2
_MAX_JUMP = 40.0  # degrees by which a step may exceed the median one, at least; by hand steps are uneven
_EVEN = 0.1  # of the median step: half of the steps differ less from it on a turntable with marks
_MAX_BACK = 0.1  # of the steps may turn back
_MAX_SPREAD = 0.15  # of the radius of the circle: heights and radii of the cameras of one position


@dataclass(frozen=True)
class PoseCheck:
    """What was found, in words and figures."""

    doubts: tuple[str, ...]  # the poses cannot be true
    warnings: tuple[str, ...]  # they may be inaccurate, or wrong in places
    figures: dict[str, Any]


def check_poses(
    model: pycolmap.Reconstruction, database: Path, order: Sequence[Sequence[str]], turntable: bool
) -> PoseCheck:
    """Checks the poses of a model against the matches in a database, and for a turntable against its motion.

    order: the names of the frames in their order; for a turntable, those of each position of the camera."""
    motions: list[tuple[RingMotion, np.ndarray]] = []
    if turntable:
        order = _positions(model, order)
        motions = _ring_motions(model, order)
    found = find_contradictions(database, model, _closed(order, motions) if turntable else order)
    revisits = find_revisits(model, database, order)
    doubts, warnings = _judge_matches(found, model.num_reg_images())
    doubts += _judge_revisits(revisits)
    figures: dict[str, Any] = {
        "pairs": found.pairs,
        "contradicting_pairs": found.contradicting,
        "neighbours": found.neighbours,
        "contradicting_neighbours": len(found.contradicting_neighbours),
        "seams": found.seams,
        "revisits": asdict(revisits),
    }
    if turntable:
        for motion, gaps in motions:
            for is_grave, told in _judge_ring(motion, gaps):
                (doubts if is_grave else warnings).append(told)
        off_axis = max((float(np.median(motion.off_axis)) for motion, _ in motions), default=0.0)
        if _GOOD_OFF_AXIS < off_axis <= _MAX_OFF_AXIS:
            warnings.append(f"the cameras of a turn move {off_axis:.1f} degrees off one axis in the median step")
        if any(max(motion.heights, motion.radii) > _MAX_SPREAD for motion, _ in motions):
            warnings.append("the cameras of a turn do not lie on one circle")
        if motions and (tilt := angle_between([motion.axis for motion, _ in motions])) > _MAX_TILT:
            doubts.append(f"the axes of the camera's positions differ by {tilt:.0f} degrees")
        figures["rings"] = [
            {"turn": motion.turn, "step": float(np.median(motion.steps)), "off_axis": float(np.median(motion.off_axis))}
            for motion, _ in motions
        ]
    return PoseCheck(tuple(dict.fromkeys(doubts)), tuple(warnings), figures)


def _closed(order: Sequence[Sequence[str]], motions: Sequence[tuple[RingMotion, np.ndarray]]) -> list[list[str]]:
    """The sequences, with their first name once more at the end unless their steps end elsewhere: a video may go on
    after a whole turn."""
    steps = [abs(float(np.median(motion.steps / gaps))) for motion, gaps in motions]
    step = float(np.median(steps)) if steps else 0.0

    def closes(num: int) -> bool:
        return abs((num * step + 180.0) % 360.0 - 180.0) < max(2.0 * step, _MAX_JUMP)

    return [[*names, names[0]] if closes(len(names)) else list(names) for names in order if names]


def _judge_matches(found: Contradictions, num_images: int) -> tuple[list[str], list[str]]:
    """Doubts and warnings."""
    wrong = found.contradicting_neighbours
    if not wrong:
        told = ""
    else:
        told = (
            f"{len(wrong)} of {found.neighbours} pairs of neighbouring images match well, but their cameras do not fit "
            f"these matches, first {wrong[0][0]} and {wrong[0][1]}"
        )
    if len(wrong) > max(_MAX_NEIGHBOURS * found.neighbours, 1.0) or found.seams > _MAX_SEAMS:
        return [told], []
    few = found.neighbours < _ENOUGH_NEIGHBOURS * num_images
    if few and found.pairs >= _MIN_PAIRS and found.contradicting > _MAX_PAIRS * found.pairs:
        return [f"the cameras do not fit {found.contradicting} of {found.pairs} pairs of images that match well"], []
    return [], [told] if told else []


def _judge_revisits(found: Revisits) -> list[str]:
    """Doubts."""
    if found.pairs < _MIN_REVISITS or found.shared >= _MIN_SHARED * found.expected:
        return []
    return [
        f"{found.pairs} pairs of images would be of one place, but share {100.0 * found.shared:.0f} % of what they"
        f" show, where neighbouring images share {100.0 * found.expected:.0f} %"
    ]


def _positions(model: pycolmap.Reconstruction, order: Sequence[Sequence[str]]) -> list[list[str]]:
    """The sequences, cut where the cameras show that theirs was moved: before a plain backdrop frames hardly do."""
    poses = _poses(model)
    positions = []
    for names in order:
        places = [place for place, name in enumerate(names) if name in poses]
        cuts = moves(np.stack([poses[names[place]] for place in places])) if len(places) >= _MIN_RING else []
        ends = [0, *(places[cut] for cut in cuts), len(names)]
        positions += [list(names[start:end]) for start, end in pairwise(ends)]
    return positions


def _poses(model: pycolmap.Reconstruction) -> dict[str, np.ndarray]:
    """The poses (3, 4) by name."""
    return {model.images[i].name: model.images[i].cam_from_world().inverse().matrix() for i in model.reg_image_ids()}


def _ring_motions(
    model: pycolmap.Reconstruction, order: Sequence[Sequence[str]]
) -> list[tuple[RingMotion, np.ndarray]]:
    """The motion of each position with enough cameras, and for each step how many frames it goes on."""
    poses = _poses(model)
    motions = []
    for names in order:
        places = [place for place, name in enumerate(names) if name in poses]
        if len(places) >= _MIN_RING:
            motions.append((ring_motion(np.stack([poses[names[place]] for place in places])), np.diff(places)))
    return motions


def _judge_ring(motion: RingMotion, gaps: np.ndarray) -> Iterator[tuple[bool, str]]:
    """What speaks against the cameras of one position, and whether it is grave; gaps: see `_ring_motions`.

    A jump is grave where all other steps are even: a hand that turns unevenly may also turn back."""
    num, typical = len(gaps) + 1, float(np.median(motion.steps / gaps))
    off_axis = float(np.median(motion.off_axis))
    if off_axis > _MAX_OFF_AXIS:
        yield True, f"the cameras of a turn do not move round one axis: their steps are {off_axis:.1f} degrees off it"
        return
    expected = typical * gaps
    # back only: real series leave out parts of the turn
    jumps = expected - motion.steps > np.maximum(_MAX_JUMP, expected)
    if jumps.any():
        worst = motion.steps[jumps][np.abs(motion.steps[jumps]).argmax()]
        covered = min(abs(typical) * int(gaps[~jumps].sum()) / (int(jumps.sum()) + 1), 360.0)
        others = (motion.steps / gaps)[~jumps]
        is_even = len(others) > 0 and np.median(np.abs(others - typical)) < _EVEN * abs(typical)
        yield (
            bool(is_even),
            f"the cameras of a turn do not move on evenly: {num} photos cover {covered:.0f} degrees "
            f"{jumps.sum() + 1} times, with jumps back of {abs(worst):.0f} degrees between steps of {typical:.0f}",
        )
    elif (back := (motion.steps < -0.25 * typical).mean()) > _MAX_BACK:
        yield True, f"the cameras of a turn move back in {100.0 * back:.0f} % of the steps"
