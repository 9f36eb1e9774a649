"""SIFT features and their matches, by COLMAP on a CPU."""

from collections.abc import Sequence
from pathlib import Path

import pycolmap

from utils.terminal.count_bar import CountBar

MIN_MATCHES = 15  # inliers of the two-view geometry, for a pair to count
_MAX_FEATURES = 4096
_MAX_DOUBLED_SIDE = 1000  # pixels: images up to this size are doubled, which gives three times as many features
PEAK_THRESHOLD, LOW_PEAK_THRESHOLD = 0.02 / 3, 0.006 / 3  # COLMAP's own, and one for smooth objects
_BATCH_SIZE = 200  # pairs


def sift_options(longer_side: int, peak_threshold: float) -> pycolmap.FeatureExtractionOptions:
    """COLMAP's options to extract features on a CPU from images whose longer side has `longer_side` pixels."""
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.sift.max_num_features = _MAX_FEATURES
    options.sift.first_octave = -1 if longer_side <= _MAX_DOUBLED_SIDE else 0
    options.sift.peak_threshold = peak_threshold
    return options


def match_pairs(
    database: Path, pairs: Sequence[tuple[int, int]], names: Sequence[str], one_at_a_time: bool = False
) -> None:
    """Matches pairs of images, given by their indices in `names`, and keeps the inliers of a two-view geometry.

    one_at_a_time: all cores work on one pair, so that no sum is cut by how many are free at the moment."""
    options = pycolmap.FeatureMatchingOptions()
    options.use_gpu = False
    options.num_threads = 1 if one_at_a_time else options.num_threads
    verification = pycolmap.TwoViewGeometryOptions()
    verification.min_num_inliers = MIN_MATCHES
    verification.ransac.random_seed = 0
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = list_path = database.with_name("pairs.txt")
    progress = CountBar("pairs matched", len(pairs))
    for start in range(0, len(pairs), _BATCH_SIZE):
        batch = pairs[start : start + _BATCH_SIZE]
        list_path.write_text("".join(f"{names[i]} {names[j]}\n" for i, j in batch), encoding="utf-8")
        pycolmap.match_image_pairs(database, options, pairing, verification, pycolmap.Device.cpu)
        progress(start + len(batch))
    list_path.unlink()
