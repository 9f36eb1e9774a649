"""What loaders share: listing and reading images in parallel, choosing their size, holding views out."""

import math
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.errors import ConfigError, DataError
from utils.images import SUFFIXES, resize_area

HOLDOUT = 8  # every 8th view is kept for evaluation where a dataset brings no split of its own


@dataclass(frozen=True)
class Resolution:
    """The size that the user asked for: by width and height, by a factor, or neither (as on disk)."""

    img_wh: tuple[int, int] | None = None
    img_downscale: float | None = None

    def __post_init__(self) -> None:
        if self.img_wh is not None and (len(self.img_wh) != 2 or min(self.img_wh) < 1):
            raise ConfigError(f"dataset.img_wh: expected [width, height] in pixels, got {list(self.img_wh)}.")
        if self.img_downscale is not None and not 1.0 <= self.img_downscale < math.inf:
            raise ConfigError(f"dataset.img_downscale: expected a factor of at least 1, got {self.img_downscale}.")

    def of(self, disk_size: tuple[int, int], where: str) -> tuple[int, int]:
        """(width, height) to use for an image of `disk_size`; raises ConfigError when the two wishes disagree."""
        width, height = disk_size
        scaled = disk_size
        if self.img_downscale is not None:
            scaled = max(1, round(width / self.img_downscale)), max(1, round(height / self.img_downscale))
        if self.img_wh is None:
            return scaled
        w, h = self.img_wh
        if self.img_downscale is not None and (w, h) != scaled:
            raise ConfigError(
                f"dataset.img_wh is {w}x{h}, but dataset.img_downscale={self.img_downscale:g} makes {where} "
                f"{scaled[0]}x{scaled[1]}. Give only one of the two."
            )
        if abs(h - w * height / width) > 0.5 and abs(w - h * width / height) > 0.5:
            raise ConfigError(
                f"{where} is {width}x{height}; dataset.img_wh={w}x{h} has another aspect ratio. "
                f"Use e.g. {w}x{max(1, round(w * height / width))}, or dataset.img_downscale."
            )
        return w, h


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

    with ThreadPoolExecutor(min(8, max(2, os.cpu_count() or 2))) as pool:
        loaded = list(pool.map(load, paths))
    images = [image for image, _, _ in loaded]
    disk_sizes = np.array([size for _, size, _ in loaded], dtype=np.int64)
    channels = 4 if any(masked for _, _, masked in loaded) else 3
    del loaded
    sizes = np.array([(image.shape[1], image.shape[0]) for image in images], dtype=np.int64)
    pixels = np.empty((sizes.prod(axis=1).sum(), channels), dtype=np.uint8)
    start = 0
    for width, height in sizes:
        image = images.pop(0)  # freed as it is copied: the set lies in memory once
        part = pixels[start : start + width * height]
        part[:, : image.shape[2]] = image.reshape(-1, image.shape[2])[:, :channels]
        part[:, image.shape[2] :] = 255
        start += width * height
    return Photos(pixels, sizes, disk_sizes)


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


Holdout = int | tuple[int, ...]  # every so many-th view, or the indices of views


def check_holdout(holdout: Holdout) -> None:
    """Raises ConfigError for an interval or for indices that nothing can be held out by."""
    if isinstance(holdout, int):
        if holdout < 0 or holdout == 1:
            raise ConfigError(f"dataset.holdout: expected 0 (none) or at least 2, got {holdout}.")
    elif not holdout or min(holdout) < 0 or len(set(holdout)) < len(holdout):
        raise ConfigError(f"dataset.holdout: expected different indices of views from 0 on, got {list(holdout)}.")


def hold_out(num_views: int, holdout: Holdout, held: bool) -> list[int]:
    """Indices of the views held out when `held`, of all others when not; with one view both hold it.

    holdout: every so many-th view from the first on, or their indices. Raises ConfigError for one that is no view's, or
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
