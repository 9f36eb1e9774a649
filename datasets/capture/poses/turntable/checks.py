"""Whether what was found of a turntable holds: rings that close, rings that match, even steps."""

import logging
from collections.abc import Sequence

import numpy as np
import pycolmap

from datasets.capture.poses.pairs import connected_components
from datasets.capture.poses.turntable.rings import MIN_MATCHES, PairMatches, Ring

log = logging.getLogger(__name__)
_AGREEING = 0.4  # share of the matches, at least: wrong pitches, steps and places left 0.15 to 0.39, true ones 0.6
_CLOSED = 0.6  # of the matches across the poorest other gap between two photos: half turns had 0.4, closed ones 0.86
UNEVEN = 0.25  # of a step: how far steps may be off even ones, in the median
FREE_BETTER = 1.25  # times the error of free poses, up to which the motion holds: they fit wrong matches too
_MIN_POINTS, _MAX_ERROR = 50, 1.5  # of the reconstruction; pixels, the mean reprojection error


def share_agreeing(some: Sequence[PairMatches], whole: Sequence[PairMatches]) -> float:
    """The share of the matches of `whole` that `some` still has."""
    return sum(len(pair.features) for pair in some) / max(sum(len(pair.features) for pair in whole), 1)


def ring_holds(ring: Ring, number: int, pairs: Sequence[PairMatches], agree: Sequence[PairMatches]) -> bool:
    """Whether the `number`-th ring is one closed turn at even steps, from its matches and those that agree with it."""
    own = [pair for pair in agree if pair.a == number == pair.b]
    across = np.zeros(len(ring), int)  # the gap after each photo
    for pair in own:
        steps = (pair.j - pair.i) % len(ring)
        across[(pair.i + np.arange(steps)) % len(ring)] += len(pair.features)
    share = share_agreeing(own, [pair for pair in pairs if pair.a == number == pair.b])
    log.debug(
        "ring %d: %.2f agree, %d across the end, %d across the poorest other gap",
        number + 1,
        share,
        across[-1],
        across[:-1].min(),
    )
    return bool(share >= _AGREEING and across[-1] >= max(_CLOSED * across[:-1].min(), MIN_MATCHES))


def connected_rings(
    rings: Sequence[Ring], joined: Sequence[int], pairs: Sequence[PairMatches], agree: Sequence[PairMatches]
) -> list[int]:
    """Those of the joined rings that matches between them confirm: the group with the most photos."""
    edges = []
    for a, b in sorted({(pair.a, pair.b) for pair in pairs if pair.a != pair.b}):
        of_both = [[pair for pair in some if (pair.a, pair.b) == (a, b)] for some in (agree, pairs)]
        share = share_agreeing(*of_both)
        log.debug("rings %d and %d: %.2f agree", a + 1, b + 1, share)
        if share >= _AGREEING:
            edges.append((a, b))
    groups = [group for group in connected_components(edges, len(rings)) if set(group) <= set(joined)]
    return max(groups, key=lambda group: sum(len(rings[number]) for number in group))


def doubt(model: pycolmap.Reconstruction, rings: Sequence[Ring]) -> str | None:
    """Why a reconstruction is not to be trusted."""
    error = model.compute_mean_reprojection_error()
    if model.num_points3D() < _MIN_POINTS or error > _MAX_ERROR:
        return f"{model.num_points3D()} points fit the photos, with an error of {error:.1f} pixels"
    for number, ring in enumerate(rings, start=1):
        off = np.degrees(np.abs(_uneven(model, ring)))
        step = np.degrees(ring.step)
        log.debug("ring %d: steps off by %.2f degrees in the median, %.2f at most", number, np.median(off), off.max())
        if np.median(off) > UNEVEN * step or off.max() > step:
            return (
                f"with free poses, the steps of camera position {number} are {np.median(off):.1f} degrees off even "
                f"ones of {step:.1f}, and {off.max():.1f} at most"
            )
    return None


def _uneven(model: pycolmap.Reconstruction, ring: Ring) -> np.ndarray:
    """(N,) how far the turn from each photo of a ring to the next is from an even step, radians."""
    poses = [model.images[image_id].cam_from_world().rotation for image_id in ring.image_ids]
    turns = [(after * before.inverse()).angle() for before, after in zip(poses, poses[1:] + poses[:1], strict=True)]
    return np.array(turns) - ring.step
