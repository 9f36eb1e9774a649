"""Features of images and their matches, in a database of COLMAP."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from datasets.capture.frames.stage import Frame
from datasets.capture.options import CaptureOptions
from datasets.capture.poses.pairs import Pair
from datasets.sift import MIN_MATCHES, PEAK, WEAK_PEAK, sift_settings
from utils.count_bar import CountBar

_FEW = 2000  # features: with fewer in the usual image, weaker ones are taken too
_SAMPLE, _IMAGES_AT_ONCE = 6, 10


def extract(database: Path, folder: Path, frames: Sequence[Frame], options: CaptureOptions) -> None:
    """Writes cameras, images and SIFT features of frames/ (`folder`) to a database."""
    settings = sift_settings(max(max(frame.size) for frame in frames), PEAK)
    sample = frames[:: max(len(frames) // _SAMPLE, 1)][:_SAMPLE]
    probe = database.with_name("probe.db")
    _extract_all(probe, folder, sample, options, settings)
    if np.median([len(features) for features in read_descriptors(probe)]) < _FEW:
        settings.sift.peak_threshold = WEAK_PEAK
    probe.unlink()
    progress = CountBar("images with features", len(frames))
    _extract_all(database, folder, frames, options, settings, progress)


def _extract_all(
    database: Path,
    folder: Path,
    frames: Sequence[Frame],
    options: CaptureOptions,
    settings: pycolmap.FeatureExtractionOptions,
    progress: CountBar | None = None,
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
