"""Features of images and their matches, in a database of COLMAP."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from datasets.capture.frames import Frame
from datasets.capture.options import CaptureOptions
from datasets.capture.pairs import Pair
from datasets.capture.progress import Progress

MIN_MATCHES = 15  # verified ones, for a pair to count
_MOST_FEATURES = 4096
_ENLARGED = 1000  # pixels: images up to this size are doubled, which finds thrice as many features
_FEW = 2000  # features: with fewer in the usual image, weaker ones are taken too
_PEAK, WEAK_PEAK = 0.02 / 3, 0.006 / 3  # COLMAP's threshold, and one for smooth objects
_SAMPLE, _IMAGES_AT_ONCE, _PAIRS_AT_ONCE = 6, 10, 200


def extract(database: Path, folder: Path, frames: Sequence[Frame], options: CaptureOptions) -> None:
    """Writes cameras, images and SIFT features of frames/ (`folder`) to a database."""
    settings = sift_settings(max(max(frame.size) for frame in frames), _PEAK)
    sample = frames[:: max(len(frames) // _SAMPLE, 1)][:_SAMPLE]
    probe = database.with_name("probe.db")
    _extract_all(probe, folder, sample, options, settings)
    if np.median([len(features) for features in read_descriptors(probe)]) < _FEW:
        settings.sift.peak_threshold = WEAK_PEAK
    probe.unlink()
    progress = Progress("images with features", len(frames))
    _extract_all(database, folder, frames, options, settings, progress)


def sift_settings(side: int, peak: float) -> pycolmap.FeatureExtractionOptions:
    """How features are found, on a CPU, in images whose longer side has `side` pixels, from a `peak` in contrast on."""
    settings = pycolmap.FeatureExtractionOptions()
    settings.use_gpu = False
    settings.sift.max_num_features = _MOST_FEATURES
    settings.sift.first_octave = -1 if side <= _ENLARGED else 0
    settings.sift.peak_threshold = peak
    return settings


def _extract_all(
    database: Path,
    folder: Path,
    frames: Sequence[Frame],
    options: CaptureOptions,
    settings: pycolmap.FeatureExtractionOptions,
    progress: Progress | None = None,
) -> None:
    shared = options.camera == "shared"
    done = 0
    for size in sorted({frame.size for frame in frames}):
        names = [frame.name for frame in frames if frame.size == size]
        reader = pycolmap.ImageReaderOptions()
        reader.camera_model = options.camera_model
        for start in range(0, len(names), _IMAGES_AT_ONCE):
            some = names[start : start + _IMAGES_AT_ONCE]
            pycolmap.extract_features(
                database, folder, some, pycolmap.CameraMode.SINGLE if shared else pycolmap.CameraMode.PER_IMAGE,
                reader, settings, pycolmap.Device.cpu,
            )  # fmt: skip
            if shared and start == 0:  # the next images of this size join the camera that was just made
                with pycolmap.Database.open(database) as opened:
                    reader.existing_camera_id = opened.read_image_with_name(some[0]).camera_id
            done += len(some)
            if progress:
                progress(done)


def match(database: Path, pairs: Sequence[Pair], names: Sequence[str]) -> None:
    """Matches pairs of images, given by their place in `names`, and keeps what a two-view geometry confirms."""
    settings = pycolmap.FeatureMatchingOptions()
    settings.use_gpu = False
    verification = pycolmap.TwoViewGeometryOptions()
    verification.min_num_inliers = MIN_MATCHES
    verification.ransac.random_seed = 0
    pairing = pycolmap.ImportedPairingOptions()
    pairing.match_list_path = listed = database.with_name("pairs.txt")
    progress = Progress("pairs matched", len(pairs))
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        some = pairs[start : start + _PAIRS_AT_ONCE]
        listed.write_text("".join(f"{names[i]} {names[j]}\n" for i, j in some), encoding="utf-8")
        pycolmap.match_image_pairs(database, settings, pairing, verification, pycolmap.Device.cpu)
        progress(start + len(some))
    listed.unlink()


def read_descriptors(database: Path, names: Sequence[str] | None = None) -> list[np.ndarray]:
    """(K, 128) uint8 SIFT descriptors of each image, in the order of `names`, or of the database."""
    with pycolmap.Database.open(database) as opened:
        images = opened.read_all_images()
        if names is not None:
            by_name = {image.name: image for image in images}
            images = [by_name[name] for name in names]
        return [np.asarray(opened.read_descriptors(image.image_id).data) for image in images]


def read_matches(database: Path, names: Sequence[str]) -> dict[Pair, int]:
    """Number of verified matches of each pair (i, j), i < j, given by their place in `names`; only pairs that count."""
    place = {name: i for i, name in enumerate(names)}
    with pycolmap.Database.open(database) as opened:
        index = {image.image_id: place[image.name] for image in opened.read_all_images()}
        pair_ids, counts = opened.read_two_view_geometry_num_inliers()
    pairs = [sorted(index[i] for i in pycolmap.pair_id_to_image_pair(pair_id)) for pair_id in pair_ids]
    return {(i, j): count for (i, j), count in zip(pairs, counts, strict=True) if count >= MIN_MATCHES}
