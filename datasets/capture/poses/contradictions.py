"""Which pairs of images, verified by themselves, contradict the poses of a model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pycolmap

_MIN_MATCHES = 30  # verified ones: fewer may be wrong by chance
_TOLERANCE = 0.006  # of the longer side, off the epipolar line: 5 pixels of 800
_MIN_FITTING = 0.5  # of the matches: a pair with fewer within the tolerance contradicts the model


@dataclass(frozen=True)
class Contradictions:
    """Pairs with many matches, and how many of them contradict the model."""

    pairs: int
    contradicting: int
    neighbours: int  # those of the pairs that follow each other in the order of the images
    contradicting_neighbours: tuple[tuple[str, str], ...]
    seams: int  # those of them whose images agree with their other neighbours: no single image is misplaced


def find_contradictions(
    database: Path, model: pycolmap.Reconstruction, order: Sequence[Sequence[str]]
) -> Contradictions:
    """Compares the verified matches of a database with the poses of a model.

    order: names of images; those that follow each other within a sequence are neighbours. In a model that is folded,
    two sides of the object that look alike lie on each other, and the neighbours between them are far apart."""
    neighbours = {frozenset(pair) for names in order for pair in pairwise(names)}
    pairs = contradicting = 0
    fits: dict[frozenset[str], bool] = {}
    wrong = []
    for names, fitting in _fitting_shares(database, model):
        pairs += 1
        contradicting += fitting < _MIN_FITTING
        if (pair := frozenset(names)) in neighbours:
            fits[pair] = fitting >= _MIN_FITTING
            wrong += [names] if fitting < _MIN_FITTING else []
    return Contradictions(pairs, contradicting, len(fits), tuple(wrong), _num_seams(order, fits))


def _num_seams(order: Sequence[Sequence[str]], fits: Mapping[frozenset[str], bool]) -> int:
    """Neighbours that do not fit, between two that do."""
    seams = 0
    for names in order:
        steps = [fits.get(frozenset(pair)) for pair in pairwise(names)]
        around = [steps[-1], *steps, steps[0]] if names[0] == names[-1] else [None, *steps, None]
        seams += sum(around[i : i + 3] == [True, False, True] for i in range(len(steps)))
    return seams


def _fitting_shares(database: Path, model: pycolmap.Reconstruction) -> Iterator[tuple[tuple[str, str], float]]:
    """The names of each pair with many matches, and the share of these that lies near its epipolar lines."""
    with pycolmap.Database.open(database) as opened:
        by_name = {model.images[i].name: model.images[i] for i in model.reg_image_ids()}
        images = {item.image_id: by_name[item.name] for item in opened.read_all_images() if item.name in by_name}
        rays = {
            image_id: _rays(model.cameras[image.camera_id], np.asarray(opened.read_keypoints(image_id))[:, :2])
            for image_id, image in images.items()
        }
        for pair_id, geometry in zip(*opened.read_two_view_geometries(), strict=True):
            first, second = pycolmap.pair_id_to_image_pair(pair_id)
            matches = np.asarray(geometry.inlier_matches)
            if len(matches) >= _MIN_MATCHES and first in images and second in images:
                motion = images[second].cam_from_world() * images[first].cam_from_world().inverse()
                camera = model.cameras[images[first].camera_id]
                tolerance = _TOLERANCE * max(camera.width, camera.height) / camera.mean_focal_length()
                errors = _epipolar_errors(motion, rays[first][matches[:, 0]], rays[second][matches[:, 1]])
                yield (images[first].name, images[second].name), float((errors < tolerance).mean())


def _rays(camera: pycolmap.Camera, pixels: np.ndarray) -> np.ndarray:
    """(K, 3) directions with z = 1 of pixels (K, 2), without the distortion of the lens."""
    flat = camera.cam_from_img(pixels.astype(np.float64)) if len(pixels) else np.zeros((0, 2))
    return np.concatenate([flat, np.ones((len(flat), 1))], axis=1)


def _epipolar_errors(motion: pycolmap.Rigid3d, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(K,) the larger distance of two rays (K, 3), z = 1, from the epipolar line of the other, at z = 1.

    motion: from the first camera's frame to the second's."""
    x, y, z = motion.translation / max(np.linalg.norm(motion.translation), 1e-12)
    essential = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) @ motion.rotation.matrix()
    lines_second, lines_first = first @ essential.T, second @ essential
    product = np.abs((second * lines_second).sum(axis=1))
    lengths = [np.maximum(np.hypot(lines[:, 0], lines[:, 1]), 1e-12) for lines in (lines_first, lines_second)]
    return product / np.minimum(*lengths)
