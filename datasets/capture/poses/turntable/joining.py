"""Joins the rings of a turntable: the azimuth, the distance and the height of each camera against the others."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pycolmap

from datasets.capture.poses.turntable.motion import Correspondences, Motion, pixel_size
from datasets.capture.poses.turntable.rings import PairMatches, Ring, match_pairs

log = logging.getLogger(__name__)
_PROBES = 8  # photos of a ring that are matched with the other ring, at every azimuth
_ANGLES_PER_STEP = 9  # azimuths that are tried around each step
_BESIDE = np.radians(15.0)  # pairs of the same azimuth leave the radius free; those a little beside determine it
_NEARLY = 1.25  # of the least distance of a feature, up to which a match counts: it varies so much beside the azimuth
_DRAWS, _MAX_MATCHES = 150, 600  # draws of two matches for an azimuth, and the matches that judge them
_TOLERANCE = 4.0  # pixels off the epipolar line: rings that are solved alone have the focal length badly
_MIN_BASELINE = 0.02  # of a pair, in distances from the axis
_RADIUS, _HEIGHT = (0.2, 5.0), 5.0  # of a camera, in distances of the other from the axis
MIN_JOINED = 30  # matches that agree, for two rings to be joined
_APART = np.radians(45.0)  # at least, of an azimuth that is quite another
_LOOK_ALIKE = 0.8  # the share of those at another azimuth, above which the azimuth is in doubt


@dataclass(frozen=True)
class Joint:
    """Where the camera of ring `b` is if the camera of ring `a` has radius 1, height 0 and azimuth 0."""

    place: np.ndarray  # (3,) radius, height, azimuth
    agreeing: int  # matches that say so
    elsewhere: int  # and the most that agree on quite another azimuth


def join_rings(rings: Sequence[Ring], motion: Motion, camera: pycolmap.Camera) -> tuple[list[int], Motion]:
    """The numbers of the rings that can be joined, and the motion with their places.

    Rings are joined with the one next to them in pitch, since features look similar there."""
    order = np.argsort(motion.tilts[:, 0]).tolist()
    joined, places = [order[0]], {order[0]: np.array([1.0, 0.0, 0.0])}
    for b in order[1:]:
        a = joined[-1]
        joint = _join(rings, a, b, motion, camera)
        if joint.agreeing < MIN_JOINED or joint.elsewhere > _LOOK_ALIKE * joint.agreeing:
            log.info(
                "  camera position %d is left out: %d of its matches with position %d agree on an azimuth, %d on "
                "another",
                *(b + 1, joint.agreeing, a + 1, joint.elsewhere),
            )
            continue
        radius, height, azimuth = places[a]
        places[b] = np.array([radius * joint.place[0], height + radius * joint.place[1], azimuth + joint.place[2]])
        joined.append(b)
    all_places = np.stack([places.get(number, np.array([1.0, 0.0, 0.0])) for number in range(len(rings))])
    return joined, replace(motion, places=all_places)


def across(rings: Sequence[Ring], motion: Motion, joined: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Pairs of photos of rings that are next to each other in pitch: of the same azimuth, and a little beside."""
    pairs = []
    order = sorted(joined, key=lambda number: motion.tilts[number, 0])
    for a, b in pairwise(order):
        step = rings[b].step
        beside = max(round(_BESIDE / step), 1)
        for i in range(len(rings[a])):
            turned = motion.places[a, 2] - motion.places[b, 2] + motion.sense * rings[a].step * i
            j = round(motion.sense * turned / step)
            pairs += [(a, i, b, (j + shift) % len(rings[b])) for shift in (-beside, 0, beside)]
    return pairs


def _join(rings: Sequence[Ring], a: int, b: int, motion: Motion, camera: pycolmap.Camera) -> Joint:
    step, number = rings[b].step, len(rings[b])
    probes = np.unique(np.linspace(0, len(rings[a]), min(_PROBES, len(rings[a])), endpoint=False).astype(int))
    matched = []
    for offset in range(number):
        photos = np.rint(probes * rings[a].step / step + offset).astype(int) % number
        matched.append(match_pairs(rings, [(a, int(i), b, int(j)) for i, j in zip(probes, photos, strict=True)]))
    matched = _nearest_of_all(rings[a], matched)
    beside = max(round(_BESIDE / step), 1)
    found = []
    for offset in range(number):
        pairs = [pair for shift in (-beside, 0, beside) for pair in matched[(offset + shift) % number]]
        middle = -motion.sense * offset * step
        angles = middle + step * (np.arange(_ANGLES_PER_STEP) / (_ANGLES_PER_STEP - 1) - 0.5)
        found.append(_best_place(Correspondences(rings, pairs, camera), motion, angles) if pairs else (0, np.zeros(3)))
        log.debug(
            "rings %d and %d, azimuth %.0f: %d of %d agree",
            a + 1,
            b + 1,
            np.degrees(middle),
            found[-1][0],
            sum(len(pair.features) for pair in pairs),
        )
    counts = np.array([count for count, _ in found])
    best = int(counts.argmax())
    away = np.abs(np.angle(np.exp(1j * step * (np.arange(number) - best))))
    elsewhere = int(counts[away > min(max(_APART, 2.5 * step), 3.0)].max(initial=0))
    return Joint(found[best][1], int(counts[best]), elsewhere)


def _nearest_of_all(ring: Ring, matched: Sequence[Sequence[PairMatches]]) -> list[list[PairMatches]]:
    """The matches of each azimuth that are about as near as those of the same feature at any azimuth: where the back
    looks like the front, a feature matches at both, but nearer where it is itself."""
    least = [np.full(len(keypoints), np.inf) for keypoints in ring.keypoints]
    for pair in (pair for pairs in matched for pair in pairs):
        np.minimum.at(least[pair.i], pair.features[:, 0], pair.distances)
    kept = [
        [pair.part(pair.distances <= _NEARLY * least[pair.i][pair.features[:, 0]]) for pair in pairs]
        for pairs in matched
    ]
    return [[pair for pair in pairs if len(pair.features)] for pairs in kept]


def _best_place(found: Correspondences, motion: Motion, angles: np.ndarray) -> tuple[int, np.ndarray]:
    """The number of matches that agree on a place of the second camera, at one of the azimuths, and the place.

    With the azimuth given, the essential matrix is linear in radius and height: two matches determine them."""
    random = np.random.default_rng(0)
    number = len(found.pair)
    kept = random.permutation(number)[:_MAX_MATCHES]
    first, second = (rays[kept] for rays in found.rays(motion.focal))
    ends = found.ends[found.pair[kept]]
    draws = random.integers(len(kept), size=(_DRAWS, 2))
    (low, high), best = _RADIUS, (0, np.array([1.0, 0.0, 0.0]))
    for angle in angles:
        constant, by_radius, by_height = _lines(found.rings, motion, angle, ends, first)
        terms = [(second * lines).sum(axis=1)[draws] for lines in (by_radius, by_height, constant)]  # (D, 2) each
        determinant = terms[0][:, 0] * terms[1][:, 1] - terms[0][:, 1] * terms[1][:, 0]
        determinant[np.abs(determinant) < 1e-12] = np.inf
        radius = (terms[1][:, 0] * terms[2][:, 1] - terms[1][:, 1] * terms[2][:, 0]) / determinant
        height = (terms[2][:, 0] * terms[0][:, 1] - terms[2][:, 1] * terms[0][:, 0]) / determinant
        sane = (radius > low) & (radius < high) & (np.abs(height) < _HEIGHT)
        if not sane.any():
            continue
        radius, height = radius[sane, None, None], height[sane, None, None]
        lines = constant + radius * by_radius + height * by_height  # (D, M, 3)
        norms = np.sqrt(np.square(lines[:, :, :2]).sum(axis=2))  # 0 where both cameras are in one place
        off = motion.focal / pixel_size(found.camera) * np.abs((lines * second).sum(axis=2))
        counts = ((off < _TOLERANCE * norms) & (norms > _MIN_BASELINE)).sum(axis=1)
        if counts.max() > best[0]:
            which = int(counts.argmax())
            best = (int(counts[which]), np.array([radius[which, 0, 0], height[which, 0, 0], angle]))
    return round(best[0] * number / max(len(kept), 1)), best[1]


def _lines(
    rings: Sequence[Ring], motion: Motion, angle: float, ends: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(M, 3) each: the epipolar lines in the second photos, as constant + radius * by radius + height * by height."""
    bases = []
    for radius, height in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        places = np.tile([1.0, 0.0, 0.0], (len(rings), 1))
        b = int(ends[0, 2])
        places[b] = radius, height, angle
        placed = replace(motion, places=places)
        rotation_a, offset_a = placed.poses(rings, ends[:, 0], ends[:, 1])
        rotation_b, offset_b = placed.poses(rings, ends[:, 2], ends[:, 3])
        rotation = rotation_b @ rotation_a.transpose(0, 2, 1)
        ahead = np.einsum("nij,nj->ni", rotation, first)
        bases.append(np.cross(offset_b - np.einsum("nij,nj->ni", rotation, offset_a), ahead))
    return bases[0], bases[1] - bases[0], bases[2] - bases[0]
