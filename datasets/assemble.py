"""What loaders share: listing and reading images in parallel, choosing their size, holding views out."""

import logging
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.options import Holdout, Resolution
from utils.errors import ConfigError, DataError
from utils.images import SUFFIXES, resize_area

log = logging.getLogger(__name__)
BLOCK = 2**26  # bytes of images that are copied together: so large a block goes back to the system when it is freed,
# while images of a megabyte stay with the C library, and the whole set would lie in memory twice


@dataclass(frozen=True)
class Photos:
    """Images of one split at the size asked for, laid out as in `Scene`."""

    pixels: np.ndarray  # (P, C) uint8; C = 4 only when an alpha value below 255 occurs
    sizes: np.ndarray  # (N, 2) int64, width and height
    disk_sizes: np.ndarray  # (N, 2) int64, before resizing

    def scale_intrinsics(self, intrinsics: np.ndarray) -> np.ndarray:
        """(N, 4) float32 fx, fy, cx, cy for `sizes`, from those for `disk_sizes`; pixel centres at +1/2."""
        factors = self.sizes / self.disk_sizes
        return (intrinsics * np.concatenate([factors, factors], axis=1)).astype(np.float32)


def load_photos(paths: Sequence[Path], read: Callable[[Path], np.ndarray], resolution: Resolution) -> Photos:
    """Reads all `paths` in threads with `read` -> (H, W, 3|4) uint8 and resizes the images; keeps their order.

    Images without alpha join others as opaque. Alpha that is 255 everywhere says nothing and is dropped."""

    def load(path: Path) -> tuple[np.ndarray, tuple[int, int], bool]:
        image = read(path)
        size = image.shape[1], image.shape[0]
        masked = image.shape[2] == 4 and bool(image[..., 3].min() < 255)
        return resize_area(image, resolution.of(size, str(path))), size, masked

    sizes, disk_sizes, blocks, images, gathered = [], [], [], [], 0
    masks = False  # in `images`, which are not in a block yet
    with ThreadPoolExecutor(min(8, max(2, os.cpu_count() or 2))) as pool:
        for image, size, masked in pool.map(load, paths):
            sizes.append((image.shape[1], image.shape[0]))
            disk_sizes.append(size)
            images.append(image.reshape(-1, image.shape[2]))
            masks, gathered = masks or masked, gathered + image.nbytes
            if gathered >= BLOCK or len(sizes) == len(paths):
                blocks.append(_joined(images, 4 if masks else 3))
                masks, gathered = False, 0
    pixels = _joined(blocks, max(block.shape[1] for block in blocks))
    return Photos(pixels, np.array(sizes, dtype=np.int64), np.array(disk_sizes, dtype=np.int64))


def _joined(parts: list[np.ndarray], channels: int) -> np.ndarray:
    """(P, channels) of parts (P', 3|4), which are taken from the list and freed as they are copied.

    Those without alpha become opaque where there are four channels; where there are three, alpha is left out."""
    pixels = np.empty((sum(len(part) for part in parts), channels), dtype=np.uint8)
    start = 0
    for _ in range(len(parts)):
        part = parts.pop(0)
        to = pixels[start : start + len(part)]
        to[:, : part.shape[1]] = part[:, :channels]
        to[:, part.shape[1] :] = 255
        start += len(part)
    return pixels


class WarnOnce:
    """Warns of a file or folder; the same text once, however many splits are loaded."""

    def __init__(self, where: Path) -> None:
        self._where, self._said = where, set()

    def __call__(self, text: str) -> None:
        """Warns, unless that was said before."""
        if text not in self._said:
            log.warning("%s: %s", self._where, text)
        self._said.add(text)


def require_folder(folder: Path, holds: str) -> None:
    """Raises DataError unless `folder` exists and is not empty; `holds` says what belongs there."""
    got = "no such folder" if not folder.is_dir() else "" if any(folder.iterdir()) else "the folder is empty"
    if got:
        raise DataError(
            f"{folder}: {got}. Expected {holds}; set dataset.root_dir to the folder of the scene, "
            f"relative to where the command is run."
        )


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Sorting key that puts `2.png` before `10.png`."""
    return [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.findall(r"\d+|\D+", name)]


def list_images(folder: Path, deep: bool = False) -> list[Path]:
    """The images of a folder, `deep`: and of its sub-folders, in natural order; raises DataError when it holds none."""
    require_folder(folder, "images")
    files = folder.rglob("*") if deep else folder.iterdir()
    paths = [p for p in files if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()]
    if not paths:
        raise DataError(f"{folder}: expected images ({', '.join(SUFFIXES)}), got none of these.")
    return sorted(paths, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def hold_out(num_views: int, holdout: Holdout, held: bool) -> list[int]:
    """Indices of the views held out when `held`, of all others when not; with one view both hold it.

    holdout: every n-th view from the first on, or their indices. Raises ConfigError for one that is no view's, or
    when none is left to train on."""
    if num_views < 2:
        return list(range(num_views))
    chosen = range(0, num_views, holdout) if isinstance(holdout, int) else holdout
    if max(chosen) >= num_views or len(chosen) >= num_views:
        raise ConfigError(
            f"dataset.holdout: expected some of the views 0 to {num_views - 1}, and others left to train on, got "
            f"{list(chosen)}."
        )
    return [i for i in range(num_views) if (i in chosen) == held]


def choose_views(num_views: int, holdout: Holdout, split: str, held: bool, say: Callable[[str], None]) -> list[int]:
    """Indices of the views of a split of a folder that brings no splits of its own; see `hold_out`.

    `say` is told where views of an evaluation are trained on, as holdout 0 means."""
    if holdout != 0:
        return hold_out(num_views, holdout, held)
    if held:
        say(f"dataset.holdout=0, so {split} shows views that were trained on")
    return list(range(num_views))
