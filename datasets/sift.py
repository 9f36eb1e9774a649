"""SIFT features and their matches, as COLMAP finds them on a CPU."""

from collections.abc import Sequence
from pathlib import Path

import pycolmap

from utils.count_bar import CountBar

MIN_MATCHES = 15  # verified ones, for a pair to count
_MAX_FEATURES = 4096
_ENLARGED = 1000  # pixels: images up to this size are doubled, which finds thrice as many features
PEAK, WEAK_PEAK = 0.02 / 3, 0.006 / 3  # COLMAP's threshold, and one for smooth objects
_PAIRS_AT_ONCE = 200


def sift_settings(side: int, peak: float) -> pycolmap.FeatureExtractionOptions:
    """How features are found, on a CPU, in images whose longer side has `side` pixels, from a `peak` in contrast on."""
    settings = pycolmap.FeatureExtractionOptions()
    settings.use_gpu = False
    settings.sift.max_num_features = _MAX_FEATURES
    settings.sift.first_octave = -1 if side <= _ENLARGED else 0
    settings.sift.peak_threshold = peak
    return settings


def match(database: Path, pairs: Sequence[tuple[int, int]], names: Sequence[str]) -> None:
    """Matches pairs of images, given by their place in `names`, and keeps what a two-view geometry confirms."""
    settings = pycolmap.FeatureMatchingOptions()
    settings.use_gpu = False
    verification = pycolmap.TwoViewGeometryOptions()
    verification.min_num_inliers = MIN_MATCHES
    verification.ransac.random_seed = 0
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = listed = database.with_name("pairs.txt")
    progress = CountBar("pairs matched", len(pairs))
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        some = pairs[start : start + _PAIRS_AT_ONCE]
        listed.write_text("".join(f"{names[i]} {names[j]}\n" for i, j in some), encoding="utf-8")
        pycolmap.match_image_pairs(database, settings, pairing, verification, pycolmap.Device.cpu)
        progress(start + len(some))
    listed.unlink()
