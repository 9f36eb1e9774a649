"""What loaders share: listing images, reading them in parallel, and holding views out."""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from datasets.options import Holdout, Resolution
from utils.ahead import go_on
from utils.errors import ConfigError, DataError
from utils.files import natural_key
from utils.images import SUFFIXES, resize_area
from utils.terminal.typed_paths import nearby

log = logging.getLogger(__name__)
_VIDEOS = (".mp4", ".mov", ".m4v", ".mkv", ".avi", ".webm")
DARK = 40  # level that some pixel of photographs reaches
BLOCK = 2**26  # bytes of images per block: the C library returns blocks of this size to the system when they are freed,
# but keeps images of a megabyte, so that the whole set would be in memory twice


@dataclass(frozen=True)
class Photos:
    """The images of one split at the requested size, laid out as in `Scene`."""

    pixels: np.ndarray  # (P, C) uint8; C = 4 only when an alpha value below 255 occurs
    sizes: np.ndarray  # (N, 2) int64, width and height
    disk_sizes: np.ndarray  # (N, 2) int64, before resizing

    def scale_intrinsics(self, intrinsics: np.ndarray) -> np.ndarray:
        """(N, 4) float32 fx, fy, cx, cy for `sizes`, scaled from those for `disk_sizes`; pixel centres at +1/2."""
        factors = self.sizes / self.disk_sizes
        return (intrinsics * np.concatenate([factors, factors], axis=1)).astype(np.float32)


def load_photos(paths: Sequence[Path], read: Callable[[Path], np.ndarray], resolution: Resolution) -> Photos:
    """Reads all `paths` in threads with `read` -> (H, W, 3|4) uint8 and resizes the images; keeps their order.

    Beside images with alpha, those without become opaque. Drops alpha that is 255 everywhere. Warns where all images
    are nearly black, as those of 12 bits in files of 16 are."""

    def load(path: Path) -> tuple[np.ndarray, tuple[int, int], bool]:
        image = read(path)
        size = image.shape[1], image.shape[0]
        masked = image.shape[2] == 4 and bool(image[..., 3].min() < 255)
        return resize_area(image, resolution.of(size, str(path))), size, masked

    sizes, disk_sizes, blocks, images, num_bytes = [], [], [], [], 0
    masks = False  # whether `images`, which are in no block yet, have masks
    num = min(16, max(2, os.cpu_count() or 2))
    with ThreadPoolExecutor(num) as pool:
        for image, size, masked in _in_order(pool, load, paths, 2 * num):
            go_on()
            sizes.append((image.shape[1], image.shape[0]))
            disk_sizes.append(size)
            images.append(image.reshape(-1, image.shape[2]))
            masks, num_bytes = masks or masked, num_bytes + image.nbytes
            if num_bytes >= BLOCK or len(sizes) == len(paths):
                blocks.append(_concatenate(images, 4 if masks else 3))
                masks, num_bytes = False, 0
    pixels = _concatenate(blocks, max(block.shape[1] for block in blocks))
    some = pixels[:: len(pixels) // 10**6 + 1, :3]  # quick, and bright in nearly all sets
    if int(some.max()) < DARK and int(pixels[:, :3].max()) < DARK:
        tell_dark(paths[0].parent)
    return Photos(pixels, np.array(sizes, dtype=np.int64), np.array(disk_sizes, dtype=np.int64))


def _in_order(pool: ThreadPoolExecutor, load: Callable[[Path], Any], paths: Sequence[Path], most: int) -> Iterator[Any]:
    """What `load` returns for each path, as `pool.map` does, with at most so many images begun: whoever breaks off
    waits for those alone."""
    begun: deque[Future] = deque()
    try:
        for path in paths:
            if len(begun) == most:
                yield begun.popleft().result()
            begun.append(pool.submit(load, path))
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()


@cache
def tell_dark(folder: Path) -> None:
    """Warns, once for a folder, that its images are nearly black."""
    log.warning(
        "%s: all pixels of all images are darker than %d of 255. If these are 10 or 12 bits in files of 16, scale them "
        "to the whole range of 16 bits",
        *(folder, DARK),
    )


def _concatenate(parts: list[np.ndarray], channels: int) -> np.ndarray:
    """(P, channels) of parts (P', 3|4); removes them from the list as it copies them, which frees their memory.

    With four channels, parts without alpha become opaque; with three, alpha is dropped."""
    pixels = np.empty((sum(len(part) for part in parts), channels), dtype=np.uint8)
    start = 0
    for _ in range(len(parts)):
        part = parts.pop(0)
        to = pixels[start : start + len(part)]
        to[:, : part.shape[1]] = part[:, :channels]
        to[:, part.shape[1] :] = 255
        start += len(part)
    return pixels


def refuse_transparent(pixels: np.ndarray, num_images: int, where: Path) -> None:
    """Raises DataError where pixels (P, 3|4) have alpha, and it is 0 in all images."""
    if pixels.shape[1] == 4 and not pixels[:, 3].any():
        raise DataError(
            f"{where}: all {num_images} images are fully transparent (alpha 0 everywhere), so there is nothing to "
            f"learn. Render them again with the object visible, or leave alpha out (of captures, by "
            f"dataset.apply_mask=false)."
        )


class WarnOnce:
    """Logs about a file or folder, each text only once, however many splits are loaded."""

    def __init__(self, where: Path) -> None:
        self._where, self._logged = where, set()

    def __call__(self, text: str, level: int = logging.WARNING) -> None:
        """Logs a warning, or at another level, unless the same text was logged before."""
        if text not in self._logged:
            log.log(level, "%s: %s", self._where, text)
        self._logged.add(text)


def require_folder(folder: Path, contents: str) -> None:
    """Raises DataError unless `folder` exists and is not empty; `contents` names what belongs there."""
    got = "no such folder" if not folder.is_dir() else "" if any(folder.iterdir()) else "the folder is empty"
    if got:
        near = nearby(folder) if got == "no such folder" else ""
        if folder.is_file() and folder.suffix.lower() in _VIDEOS:
            near = f" That is a video: make a dataset of it with `python scripts/prepare.py {folder} OUT`."
        raise DataError(
            f"{folder}: {got}.{near} Expected {contents}; give the folder of the scene as dataset.root_dir=FOLDER, "
            f"relative to where the command is run."
        )


def list_images(folder: Path, deep: bool = False) -> list[Path]:
    """The images of a folder in natural order, `deep`: with those of its sub-folders; raises DataError for no image."""
    if not folder.is_dir():
        require_folder(folder, "images")
    files = folder.rglob("*") if deep else folder.iterdir()
    paths = [p for p in files if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()]
    if not paths:
        raise DataError(
            f"{folder}: expected images ({', '.join(SUFFIXES)}), got none. Put the images there, or "
            f"give another folder."
        )
    return sorted(paths, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def hold_out(num_views: int, holdout: Holdout, held: bool) -> list[int]:
    """Indices of the views that are held out if `held`, else of the others; a single view is in both.

    holdout: every n-th view from the first on, or indices. Raises ConfigError for an index that no view has, or when no
    view is left to train on."""
    if num_views < 2:
        return list(range(num_views))
    chosen = range(0, num_views, holdout) if isinstance(holdout, int) else holdout
    if max(chosen) >= num_views or len(chosen) >= num_views:
        raise ConfigError(
            f"dataset.holdout: expected indices of views from 0 to {num_views - 1} that leave views to train on, got "
            f"{list(chosen)}."
        )
    return [i for i in range(num_views) if (i in chosen) == held]


def choose_views(num_views: int, holdout: Holdout, split: str, held: bool, warn: Callable[[str], None]) -> list[int]:
    """Indices of the views of a split of a folder without splits; see `hold_out`.

    Calls `warn` where a split shows views that were trained on, as holdout 0 means."""
    if holdout != 0:
        return hold_out(num_views, holdout, held)
    if held:
        warn(f"dataset.holdout=0, so {split} shows views that were trained on")
    return list(range(num_views))
