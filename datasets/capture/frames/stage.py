"""Stage `frames`: the images to work with, upright and of bearable size, from a video or a folder of photos."""

import hashlib
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from datasets.assemble import list_images
from datasets.capture.frames.motion import BLURRED, SIDE, blur, gradient_energy, measure
from datasets.capture.frames.selection import choose_frames
from datasets.capture.frames.video import read_frames
from datasets.capture.options import MIN_IMAGES, CaptureOptions
from utils.count_bar import CountBar
from utils.errors import CaptureError
from utils.images import SUFFIXES, read_image, resize_area, upright_exif, write_jpeg

log = logging.getLogger(__name__)
_FEW = 24  # images: with fewer, neighbours lie more than 15 degrees apart
_MANY_BLURRED = 0.3  # of the images


@dataclass(frozen=True)
class Frame:
    """An image of frames/."""

    name: str
    source: str  # the photo's name, or the number of the frame in the video
    size: tuple[int, int]  # width, height
    sharpness: float
    blur: float


def run(options: CaptureOptions, working: Path) -> dict[str, Any]:
    """Fills frames/ and frames.json; returns the report. Raises DataError and CaptureError."""
    folder = working / "frames"
    folder.mkdir()
    made, report = (_from_video if options.is_video else _from_photos)(options, folder)
    content = {"video": options.is_video, "frames": [asdict(frame) for frame in made]}
    (working / "frames.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    blurred = sum(frame.blur > BLURRED for frame in made)
    if blurred > _MANY_BLURRED * len(made):
        log.warning(
            "%s: %d of %d images are blurred, fine detail will be missing. Move the camera more slowly, in more light.",
            *(options.source, blurred, len(made)),
        )
    if len(made) < _FEW:
        log.warning("%s: %d images are few, expect holes and bumps. Better 40 or more.", options.source, len(made))
    report |= {"frames": len(made), "sizes": sorted({frame.size for frame in made})}
    return report


def read_frame_list(root: Path) -> tuple[list[Frame], bool]:
    """The frames that frames.json names and that still lie in frames/, and whether they are of a video."""
    content = json.loads((root / "frames.json").read_text(encoding="utf-8"))
    frames = [Frame(**item | {"size": tuple(item["size"])}) for item in content["frames"]]
    return [frame for frame in frames if (root / "frames" / frame.name).is_file()], content["video"]


def _from_video(options: CaptureOptions, folder: Path) -> tuple[list[Frame], dict[str, Any]]:
    if options.source.suffix.lower() in SUFFIXES:
        raise CaptureError(f"{options.source}: is one photo. Give the folder of all photos, or a video.")
    progress = CountBar("frames looked at", None)
    measures = measure(_counted(read_frames(options.source, SIDE, gray=True), progress))
    progress.close()
    num_frames = len(measures.position)
    selection = choose_frames(measures, options.frames)
    if len(selection.chosen) < MIN_IMAGES:
        raise CaptureError(
            f"{options.source}: {num_frames} frames, of which {len(selection.chosen)} show something new; expected at "
            f"least {MIN_IMAGES}. Walk around the object while filming."
        )
    made, chosen = [], selection.chosen.tolist()
    progress = CountBar("frames written", len(chosen))
    for number, image in zip(chosen, read_frames(options.source, options.max_side, chosen=chosen), strict=False):
        name = f"{number:06d}.jpg"
        write_jpeg(folder / name, image)
        size = image.shape[1], image.shape[0]
        made.append(Frame(name, str(number), size, float(measures.sharpness[number]), float(measures.blur[number])))
        progress(len(made))
    log.info(
        "  %d of %d frames; %d blurred, %d show what others show", len(made), num_frames, selection.num_blurred,
        selection.num_still,
    )  # fmt: skip
    return made, {
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
    paths = list_images(options.source)
    progress = CountBar("photos read", len(paths))
    first_of: dict[str, str] = {}
    made, twins = [], []
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # each holds one photo at its full size
        targets = [folder / name for name in _names(paths)]
        kept = pool.map(lambda path, target: _keep(path, target, options.max_side), paths, targets)
        for count, (frame, digest) in enumerate(kept, start=1):
            if digest in first_of:
                twins.append(frame.source)
                (folder / frame.name).unlink()
            else:
                first_of[digest] = frame.source
                made.append(frame)
            progress(count)
    if len(made) < MIN_IMAGES:
        counted = f"{len(paths)} photos" + (f", of which {len(made)} differ" if twins else "")
        raise CaptureError(
            f"{options.source}: {counted}; expected at least {MIN_IMAGES}, better 40 from all around the object. "
            f"Take more photos."
        )
    if twins:
        log.warning(
            "%s: %d photos are copies of others and are left out, first %s", options.source, len(twins), twins[0]
        )
    sizes = sorted({frame.size for frame in made})
    if len(sizes) > 1:
        shown = ", ".join(f"{width}x{height}" for width, height in sizes)
        log.info("  photos of %d sizes (%s): each size has a camera of its own", len(sizes), shown)
    return made, {"photos": len(paths), "copies": len(twins)}


def _names(paths: list[Path]) -> list[str]:
    """A name in frames/ for each: all are JPEGs, so a.png beside a.jpg becomes a_png.jpg; spaces part other lists."""
    stems = Counter(path.stem for path in paths)
    names = [path.stem if stems[path.stem] == 1 else f"{path.stem}_{path.suffix[1:]}" for path in paths]
    return ["_".join(name.split()) + ".jpg" for name in names]


def _keep(path: Path, target: Path, max_side: int) -> tuple[Frame, str]:
    """Writes a photo to `target`, the file as it is where it fits, so that nothing is lost; and what tells copies."""
    image = np.ascontiguousarray(read_image(path)[..., :3])
    digest = hashlib.sha256(image.tobytes()).hexdigest()
    exif, upright = upright_exif(path)
    scale = max_side / max(image.shape[:2])
    if scale >= 1.0 and upright and path.suffix.lower() in (".jpg", ".jpeg"):
        shutil.copyfile(path, target)
    else:
        if scale < 1.0:
            image = resize_area(image, (round(image.shape[1] * scale), round(image.shape[0] * scale)))
        write_jpeg(target, image, exif)
    small = min(SIDE / max(image.shape[:2]), 1.0)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    gray = cv2.resize(gray, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
    size = image.shape[1], image.shape[0]
    return Frame(target.name, path.name, size, gradient_energy(gray), blur(gray)), digest
