"""What photographs share that a model puts at one place, though one was taken long after the other.

If they show the same, they share as many points as photographs that follow each other. Where a model folds two like
sides of an object onto each other, they share the prints that both sides have, and lack the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
from scipy.sparse import csr_matrix

from datasets.geometry.axes import focus_point
from datasets.points.sift import MIN_MATCHES

_NEAR, _FAR = 2, 4  # places in the order: up to the first, neighbours; beyond the second, taken long after
_MAX_ANGLE, _MAX_RATIO = 30.0, 1.3  # degrees between directions, ratio of distances: beyond, SIFT finds other features


@dataclass(frozen=True)
class Revisits:
    """Pairs of photographs from one place."""

    pairs: int  # that are far apart in the order, and matched
    shared: float  # of the points that such a photograph sees, the other sees too; the median
    expected: float  # likewise, for neighbours in the order that are not nearer in the model


def find_revisits(model: pycolmap.Reconstruction, database: Path, order: Sequence[Sequence[str]]) -> Revisits:
    """Compares what photographs share that were taken one after the other, and long after each other from one place.

    order: names of images; a sequence may close. Only pairs count that the database has verified matches of: others may
    share nothing because nobody looked."""
    place = {name: (number, i, len(names)) for number, names in enumerate(order) for i, name in enumerate(names)}
    by_name = {model.images[i].name: model.images[i] for i in model.reg_image_ids()}
    names = [name for name in place if name in by_name]
    matched = _matched(database, names)
    if not matched.any():
        return Revisits(0, 0.0, 0.0)
    angle, ratio = _directions(np.stack([by_name[name].cam_from_world().inverse().matrix() for name in names]))
    sequence, index, length = np.array([place[name] for name in names]).T
    apart = np.abs(index[:, None] - index)
    apart = np.where(sequence[:, None] == sequence, np.minimum(apart, length[:, None] - apart), np.iinfo(int).max)
    alike = matched & (angle < _MAX_ANGLE) & (ratio < _MAX_RATIO) & np.triu(np.ones_like(matched), 1).astype(bool)
    near = alike & (apart <= _NEAR)
    if not near.any():
        return Revisits(0, 0.0, 0.0)
    far = alike & (apart > _FAR) & (angle <= np.median(angle[near]))
    shared = _shared([by_name[name] for name in names])
    return Revisits(int(far.sum()), float(np.median(shared[far])) if far.any() else 0.0, float(np.median(shared[near])))


def _matched(database: Path, names: Sequence[str]) -> np.ndarray:
    """(N, N) bool, symmetric: the pairs of images that have verified matches."""
    index = {name: i for i, name in enumerate(names)}
    matched = np.zeros((len(names), len(names)), bool)
    with pycolmap.Database.open(database) as opened:
        names_by_id = {image.image_id: image.name for image in opened.read_all_images()}
        for pair_id, count in zip(*opened.read_two_view_geometry_num_inliers(), strict=True):
            pair = [index.get(names_by_id[i]) for i in pycolmap.pair_id_to_image_pair(pair_id)]
            if count >= MIN_MATCHES and None not in pair:
                matched[pair[0], pair[1]] = matched[pair[1], pair[0]] = True
    return matched


def _directions(c2w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, N) degrees between the directions of cameras (N, 3, 4) from the point that they look at, and the ratios of
    their distances, at least 1."""
    offsets = c2w[:, :, 3] - focus_point(c2w)
    distances = np.maximum(np.linalg.norm(offsets, axis=1), 1e-12)
    units = offsets / distances[:, None]
    ratio = distances[:, None] / distances
    return np.degrees(np.arccos((units @ units.T).clip(-1.0, 1.0))), np.maximum(ratio, 1.0 / ratio)


def _shared(images: Sequence[pycolmap.Image]) -> np.ndarray:
    """(N, N) the points that two images both see, over those of the image that sees fewer."""
    seen = [np.unique([p.point3D_id for p in image.points2D if p.has_point3D()]) for image in images]
    rows = np.repeat(np.arange(len(seen)), [len(ids) for ids in seen])
    _, columns = np.unique(np.concatenate(seen), return_inverse=True)
    incidence = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(seen), int(columns.max(initial=0)) + 1))
    num = np.array([len(ids) for ids in seen])
    return (incidence @ incidence.T).toarray() / np.maximum(np.minimum(num[:, None], num), 1)
