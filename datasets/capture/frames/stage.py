"""Stage `frames`: upright images of limited size, from a video or a folder of photos."""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datasets.assemble import DARK, tell_dark
from datasets.capture.expected_time import expected_seconds, time_in_words
from datasets.capture.frames.frame_list import Frame, write_frame_list
from datasets.capture.frames.lenses import Optics, group_lenses, read_optics, tell_lenses
from datasets.capture.frames.motion import BLURRED, SIDE, blur, gradient_energy, measure_frames
from datasets.capture.frames.names import frame_names, original_name
from datasets.capture.frames.photo_files import list_photos
from datasets.capture.frames.selection import select_frames
from datasets.capture.frames.video import read_footage, read_video
from datasets.capture.options import MIN_IMAGES, CaptureOptions
from utils.errors import CaptureError
from utils.images import SUFFIXES, read_image, resize_area, upright_exif, write_jpeg
from utils.platforms import num_cores
from utils.terminal.count_bar import CountBar
from utils.terminal.numbers import counted

log = logging.getLogger(__name__)
_FEW = 24  # images: with fewer, neighbours are more than 15 degrees apart
_SAME_LOOK = 2.0  # mean difference, of 255 levels, of IMG_1.jpg and IMG_1.png where one was made from the other
_SMALLEST = 32  # pixels of the shorter side of a photo that features can be found in
_MAX_BLURRED_SHARE = 0.3  # of the images, before a warning


@dataclass(frozen=True)
class _Photo:
    """What was read of a photo."""

    frame: Frame
    optics: Optics
    digest: str  # of its pixels
    look: np.ndarray  # (32, 32) float32 levels of grey
    brightest: int  # level of grey
    has_alpha: bool  # below 255 somewhere


def extract_frames(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Fills frames/ and frames.json; returns the report. Raises DataError and CaptureError."""
    folder = working / "frames"
    folder.mkdir()
    frames, report = (_from_video if options.is_video else _from_photos)(options, folder)
    write_frame_list(frames, options.is_video, working)
    num_blurred = sum(frame.blur > BLURRED for frame in frames)
    if num_blurred > _MAX_BLURRED_SHARE * len(frames):
        log.warning(
            "%s: %d of %d images are blurred, so fine detail will be missing. Move the camera more slowly, in more "
            "light.",
            *(options.source, num_blurred, len(frames)),
        )
    if len(frames) < _FEW:
        log.warning("%s: %d images are few, expect holes and bumps. Better 40 or more.", options.source, len(frames))
    cores, sizes = num_cores(), [frame.size for frame in frames]
    seconds = expected_seconds(sizes, options.is_video, cores)
    log.info("  %d images: all other stages take %s on %s", len(frames), time_in_words(seconds), counted(cores, "core"))
    return report | {"frames": len(frames), "sizes": sorted(set(sizes)), "expected_seconds": round(seconds)}


def _from_video(options: CaptureOptions, folder: Path) -> tuple[list[Frame], dict[str, Any]]:
    if options.source.suffix.lower() in SUFFIXES:
        raise CaptureError(f"{options.source}: is one photo. Give the folder of all photos, or a video.")
    footage = read_footage(options.source)
    if unusual := footage.unusual():
        log.info("  %s: %s", options.source.name, "; ".join(unusual))
    for doubt in footage.doubts():
        log.warning("%s: %s.", options.source, doubt)
    progress = CountBar("frames measured", None)
    measures = measure_frames(_counted(read_video(options.source, SIDE, gray=True, footage=footage), progress))
    progress.close()
    num_frames = len(measures.position)
    selection = select_frames(measures, options.frames)
    if len(selection.chosen) < MIN_IMAGES:
        raise CaptureError(
            f"{options.source}: expected at least {MIN_IMAGES} frames that show something new, got "
            f"{len(selection.chosen)} among {counted(num_frames, 'frame')}. Walk around the object while filming."
        )
    frames, chosen = [], selection.chosen.tolist()
    progress = CountBar("frames written", len(chosen))
    images = read_video(options.source, options.max_side, chosen=chosen, footage=footage)
    for number, image in zip(chosen, images, strict=False):
        name = f"{number:06d}.jpg"
        write_jpeg(folder / name, image)
        size = image.shape[1], image.shape[0]
        frames.append(Frame(name, str(number), size, float(measures.sharpness[number]), float(measures.blur[number])))
        progress(len(frames))
    log.info(
        "  %d of %d frames; %d are blurred, %d show the same as others", len(frames), num_frames,
        selection.num_blurred, selection.num_still,
    )  # fmt: skip
    return frames, {
        "frames_of_video": num_frames,
        "blurred": selection.num_blurred,
        "still": selection.num_still,
        "way_in_diagonals": float(np.ptp(measures.position)),
    }


def _counted(frames: Iterator[np.ndarray], progress: CountBar) -> Iterator[np.ndarray]:
    for count, frame in enumerate(frames, start=1):
        progress(count)
        yield frame


def _from_photos(options: CaptureOptions, folder: Path) -> tuple[list[Frame], dict[str, Any]]:
    paths = list_photos(options.source)
    if options.photos is not None:
        paths = [path for path in paths if path.name in set(options.photos)]
    progress = CountBar("photos read", len(paths))
    looks: dict[str, list[np.ndarray]] = {}  # of photos, by their names without suffix, and without that of a copy
    first_of: dict[str, str] = {}
    photos, duplicates = [], []
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # each thread holds one photo at its full size
        targets = [folder / name for name in frame_names([path.name for path in paths])]
        written = pool.map(lambda path, target: _write_photo(path, target, options.max_side), paths, targets)
        for count, photo in enumerate(written, start=1):
            source = photo.frame.source
            same_name = looks.setdefault(original_name(Path(source).stem), [])
            if photo.digest in first_of or any(np.abs(photo.look - other).mean() < _SAME_LOOK for other in same_name):
                duplicates.append(source)
                (folder / photo.frame.name).unlink()
            else:
                first_of[photo.digest] = source
                same_name.append(photo.look)
                photos.append(photo)
            progress(count)
    frames = [photo.frame for photo in photos]
    if len(frames) < MIN_IMAGES:
        distinct = f", only {len(frames)} of them distinct" if duplicates else ""
        raise CaptureError(
            f"{options.source}: expected at least {MIN_IMAGES} photos, better 40 from all around the object, got "
            f"{len(paths)}{distinct}. Take more photos."
        )
    if duplicates:
        log.warning(
            "%s: left out %s of other photos, first %s",
            *(options.source, counted(len(duplicates), "copy", "copies"), duplicates[0]),
        )
    _tell_doubts(options.source, photos)
    sizes = sorted({frame.size for frame in frames})
    if len(sizes) > 1:
        listed = ", ".join(f"{width}x{height}" for width, height in sizes)
        log.info("  photos of %d sizes (%s): each size has a camera of its own", len(sizes), listed)
    lenses = group_lenses([photo.optics for photo in photos])
    tell_lenses(lenses, options.camera == "shared", options.source)
    frames = [replace(frame, lens=lens) for frame, lens in zip(frames, lenses, strict=True)]
    return frames, {"photos": len(paths), "copies": len(duplicates)}


def _tell_doubts(source: Path, photos: Sequence[_Photo]) -> None:
    """Warns of photos that are nearly black, and of alpha, which is not used. Raises CaptureError for tiny photos."""
    tiny = [photo.frame for photo in photos if min(photo.frame.size) < _SMALLEST]
    if tiny:
        raise CaptureError(
            f"{source}: expected photos of at least {_SMALLEST} pixels a side, better 1000, got {len(tiny)} smaller "
            f"ones, first {tiny[0].source} of {tiny[0].size[0]}x{tiny[0].size[1]}. Are they thumbnails? Give the "
            f"photos themselves."
        )
    if max(photo.brightest for photo in photos) < DARK:
        tell_dark(source)
    if clear := [photo for photo in photos if photo.has_alpha]:
        log.warning(
            "%s: %d of %d photos have alpha, which is not used. If it shows the object: --masks %s",
            *(source, len(clear), len(photos), source),
        )


def _write_photo(path: Path, target: Path, max_side: int) -> _Photo:
    """Writes a photo to `target`, without recompression where possible."""
    image = read_image(path)
    has_alpha = image.shape[2] == 4 and int(image[..., 3].min()) < 255
    image = np.ascontiguousarray(image[..., :3])
    digest = hashlib.sha256(image.tobytes()).hexdigest()
    exif, unchanged = upright_exif(path)
    scale = max_side / max(image.shape[:2])
    if scale >= 1.0 and unchanged and path.suffix.lower() in (".jpg", ".jpeg"):
        shutil.copyfile(path, target)
    else:
        if scale < 1.0:
            image = resize_area(image, (round(image.shape[1] * scale), round(image.shape[0] * scale)))
        write_jpeg(target, image, exif)
    small = min(SIDE / max(image.shape[:2]), 1.0)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    gray = cv2.resize(gray, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
    size = image.shape[1], image.shape[0]
    look = cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    frame = Frame(target.name, path.name, size, gradient_energy(gray), blur(gray))
    return _Photo(frame, read_optics(exif), digest, look, int(gray.max()), has_alpha)
