"""Where the object was most likely moved, in photos whose poses together cannot be true."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from utils.errors import CaptureError

MIN_PHOTOS = 8  # of a series: with fewer, neighbours are more than 45 degrees apart and share no features

Split = tuple[tuple[str, ...], tuple[str, ...]]  # the names of the frames before and after


class UntruePosesError(CaptureError):
    """No poses were found that can be true; perhaps the object was moved in between."""

    def __init__(self, message: str, split: Split | None) -> None:
        """split: the most likely one, if there are photos enough for two series."""
        super().__init__(message)
        self.split = split


def likely_split(database: Path, names: Sequence[str]) -> Split | None:
    """The split of names, in order, that tells best which matches hold together; None for too few names.

    Across a move the object and its surroundings match too, but not with one motion of the camera, so that the
    verification keeps fewer of the matches: by the likelihood of one rate within and another across."""
    if len(names) < 2 * MIN_PHOTOS:
        return None
    tried, verified = _count_matches(database, names)
    best, most = None, 0.0
    for place in range(MIN_PHOTOS, len(names) - MIN_PHOTOS + 1):
        kept, of = verified[:place, place:].sum(), tried[:place, place:].sum()
        kept_within, of_within = verified.sum() - kept, tried.sum() - of
        if kept * of_within < kept_within * of:
            likelihood = _log_likelihood(kept, of) + _log_likelihood(kept_within, of_within)
            if best is None or likelihood > most:
                best, most = place, likelihood
    return None if best is None else (tuple(names[:best]), tuple(names[best:]))


def _log_likelihood(kept: int, of: int) -> float:
    """The logarithm of the likelihood of `kept` out of `of` at the rate that suits it best."""
    return sum(count * float(np.log(count / of)) for count in (kept, of - kept) if count > 0)


def _count_matches(database: Path, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(N, N) the matches of each pair i < j of the names, and those that the verification kept."""
    tried, verified = np.zeros((2, len(names), len(names)), np.int64)
    place_of = {name: place for place, name in enumerate(names)}
    with pycolmap.Database.open(database) as opened:
        place = {image.image_id: place_of[image.name] for image in opened.read_all_images()}
        for counts, (pair_ids, sizes) in (
            (tried, opened.read_num_matches()),
            (verified, opened.read_two_view_geometry_num_inliers()),
        ):
            for pair_id, size in zip(pair_ids, sizes, strict=True):
                i, j = sorted(place[image_id] for image_id in pycolmap.pair_id_to_image_pair(pair_id))
                counts[i, j] = size
    return tried, verified
