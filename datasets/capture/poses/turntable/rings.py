"""The rings of a turntable, photos of one camera position each, and the matches of their features."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pycolmap

_RATIO = 0.85  # of the distances to the nearest and the second nearest feature: 0.8 leaves few on bare sides
MIN_MATCHES = 8  # of a pair of photos, to count
_REACH = np.radians(46.0)  # the largest turn between two photos of a ring that are matched: SIFT fades beyond
_STEPS = (1, 2, 3, 4, 6, 8, 12)  # the turns that are matched, in steps


@dataclass(frozen=True)
class Ring:
    """The photos of one camera position, in the order of the turn, at even steps of one closed turn."""

    image_ids: tuple[int, ...]
    keypoints: tuple[np.ndarray, ...]  # (K, 2) float64 pixels of each photo
    sizes: tuple[np.ndarray, ...]  # (K,) pixels, the scale of each feature
    descriptors: tuple[np.ndarray, ...]  # (K, 128) float32 of norm 1

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def step(self) -> float:
        """The turn between two photos, radians."""
        return 2.0 * np.pi / len(self)


@dataclass(frozen=True)
class PairMatches:
    """Matches of two photos: photo `i` of ring `a` and photo `j` of ring `b`."""

    a: int
    i: int
    b: int
    j: int
    features: np.ndarray  # (M, 2) indices of the features of the two photos
    distances: np.ndarray  # (M,) of their descriptors

    def part(self, kept: np.ndarray) -> "PairMatches":
        """Some of the matches, by a mask (M,) or indices."""
        return replace(self, features=self.features[kept], distances=self.distances[kept])


def read_rings(database: Path, positions: Sequence[Sequence[str]]) -> tuple[list[Ring], list[pycolmap.Camera]]:
    """The rings of a database with features, and the cameras of their photos without repeats."""
    rings, cameras = [], {}
    with pycolmap.Database.open(database) as opened:
        for names in positions:
            images = [opened.read_image_with_name(name) for name in names]
            cameras |= {image.camera_id: opened.read_camera(image.camera_id) for image in images}
            ids = tuple(image.image_id for image in images)
            keypoints = [np.asarray(opened.read_keypoints(i), np.float64) for i in ids]
            descriptors = tuple(_unit(np.asarray(opened.read_descriptors(i).data, np.float32)) for i in ids)
            places, sizes = (tuple(part(rows) for rows in keypoints) for part in (_places, _sizes))
            rings.append(Ring(ids, places, sizes, descriptors))
    return rings, list(cameras.values())


def _places(keypoints: np.ndarray) -> np.ndarray:
    return keypoints[:, :2]


def _sizes(keypoints: np.ndarray) -> np.ndarray:
    """(K,) the scales of keypoints (K, 4) with a scale and a turn, or (K, 6) with an affine shape; 1 without either."""
    if keypoints.shape[1] == 6:
        return np.sqrt(np.abs(keypoints[:, 2] * keypoints[:, 5] - keypoints[:, 3] * keypoints[:, 4]))
    return keypoints[:, 2] if keypoints.shape[1] == 4 else np.ones(len(keypoints))


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def match_features(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M, 2) indices of features that are nearest to each other, clearly nearer than the second (Lowe 2004), from
    descriptors (K, 128) of norm 1, and (M,) their distances."""
    if min(len(a), len(b)) < 2:
        return np.empty((0, 2), int), np.empty(0)
    similarity = a @ b.T
    rows = np.arange(len(a))
    nearest = similarity.argmax(axis=1)
    mutual = similarity.argmax(axis=0)[nearest] == rows
    best = similarity[rows, nearest]
    similarity[rows, nearest] = -1.0
    second = similarity.max(axis=1)
    kept = mutual & (1.0 - best < _RATIO**2 * (1.0 - second))  # squared distances of unit vectors, halved
    return np.stack([rows[kept], nearest[kept]], axis=1), np.sqrt(2.0 * np.maximum(1.0 - best[kept], 0.0))


def match_pairs(rings: Sequence[Ring], pairs: Iterable[tuple[int, int, int, int]]) -> list[PairMatches]:
    """The matches of pairs (ring a, photo i, ring b, photo j), without pairs that have too few."""
    found = [
        PairMatches(a, i, b, j, *match_features(rings[a].descriptors[i], rings[b].descriptors[j]))
        for a, i, b, j in pairs
    ]
    return [pair for pair in found if len(pair.features) >= MIN_MATCHES]


def neighbours(ring: Ring, number: int) -> list[tuple[int, int, int, int]]:
    """Pairs within the closed ring that is the `number`-th, at most 46 degrees apart."""
    steps = [step for step in _STEPS if step == 1 or step * ring.step <= _REACH]
    return [(number, i, number, (i + step) % len(ring)) for step in steps for i in range(len(ring))]
