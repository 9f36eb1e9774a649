"""Features of images and their matches, in a database of COLMAP."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from datasets.capture.frames.frame_list import Frame
from datasets.capture.options import CaptureOptions
from datasets.capture.poses.pairs import Pair
from datasets.points.sift import LOW_PEAK_THRESHOLD, MIN_MATCHES, PEAK_THRESHOLD, sift_options
from utils.terminal.count_bar import CountBar

_FEW_FEATURES = 2000  # in the median image; with fewer, the peak threshold is lowered
_SAMPLE_SIZE, _BATCH_SIZE = 6, 10  # images


def extract_features(
    database: Path, folder: Path, frames: Sequence[Frame], options: CaptureOptions, masks: Path | None = None
) -> None:
    """Writes cameras, images and SIFT features of the frames in `folder` to a database.

    masks: a folder of NAME.png for each frame NAME, as COLMAP wants them; features lie where they are white."""
    settings = sift_options(max(max(frame.size) for frame in frames), PEAK_THRESHOLD)
    sample = frames[:: max(len(frames) // _SAMPLE_SIZE, 1)][:_SAMPLE_SIZE]
    sample_database = database.with_name("probe.db")
    _extract_batches(sample_database, folder, sample, options, settings, masks)
    if np.median([len(descriptors) for descriptors in read_descriptors(sample_database)]) < _FEW_FEATURES:
        settings.sift.peak_threshold = LOW_PEAK_THRESHOLD
    sample_database.unlink()
    progress = CountBar("images with features", len(frames))
    _extract_batches(database, folder, frames, options, settings, masks, progress)


def _extract_batches(
    database: Path,
    folder: Path,
    frames: Sequence[Frame],
    options: CaptureOptions,
    settings: pycolmap.FeatureExtractionOptions,
    masks: Path | None,
    progress: CountBar | None = None,
) -> None:
    shared = options.camera == "shared"
    done = 0
    for size, lens in sorted({(frame.size, frame.lens) for frame in frames}):
        names = [frame.name for frame in frames if (frame.size, frame.lens) == (size, lens)]
        reader = pycolmap.ImageReaderOptions()
        reader.camera_model = options.camera_model
        if masks is not None:
            reader.mask_path = masks
        for start in range(0, len(names), _BATCH_SIZE):
            batch = names[start : start + _BATCH_SIZE]
            pycolmap.extract_features(
                database, folder, batch, pycolmap.CameraMode.SINGLE if shared else pycolmap.CameraMode.PER_IMAGE,
                reader, settings, pycolmap.Device.cpu,
            )  # fmt: skip
            if shared and start == 0:  # the next images of this size and lens share the camera of the first batch
                with pycolmap.Database.open(database) as opened:
                    reader.existing_camera_id = opened.read_image_with_name(batch[0]).camera_id
            done += len(batch)
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


def read_num_matches(database: Path, names: Sequence[str]) -> dict[Pair, int]:
    """The number of verified matches of each pair (i, j), i < j, of indices in `names`; at least MIN_MATCHES."""
    index_of_name = {name: i for i, name in enumerate(names)}
    with pycolmap.Database.open(database) as opened:
        index = {image.image_id: index_of_name[image.name] for image in opened.read_all_images()}
        pair_ids, counts = opened.read_two_view_geometry_num_inliers()
    pairs = [sorted(index[i] for i in pycolmap.pair_id_to_image_pair(pair_id)) for pair_id in pair_ids]
    return {(i, j): count for (i, j), count in zip(pairs, counts, strict=True) if count >= MIN_MATCHES}
