"""Masks: pairs them with images, reads and checks them, and marks the pixels around their outlines."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Literal

import cv2
import numpy as np

from datasets.assemble import list_images
from datasets.files.mask_levels import mask_levels
from datasets.files.names import comparable
from datasets.files.orientation import Orientation, orientation_of, orientation_of_mask
from datasets.scene import Scene
from utils.errors import DataError
from utils.images import read_image

log = logging.getLogger(__name__)
MaskMeaning = Literal["object", "ignore"]  # black: there is nothing; or: do not look there
_LOCK, _SAID = Lock(), set()  # how the masks of which folders were read, as far as it was said
_FULL = 0.8  # of the border and the middle of images, covered by what is hardly one object
_KEPT = 250  # of a mask at the size of its image: from here on no part of a pixel is to be left out
_LITTLE = 0.1  # of the pixels, left by masks that were hardly meant so
_LOSSY = (".jpg", ".jpeg", ".webp")
_USE_NONE = {
    "object": "set dataset.apply_mask=false",
    "ignore": "set dataset.masks=object and dataset.apply_mask=false",
}


def pair_masks(
    images: Sequence[Path], image_root: Path, folder: Path, means: MaskMeaning = "object"
) -> dict[Path, Path]:
    """The mask of each image that has one: the file with the same name, with `.png` appended to the name, or with the
    same number (000.png for 000000.png); where no mask matches, those at the same positions in the folder.

    The folder of masks mirrors the sub-folders of the images. Warns of images without a mask, which are left out
    where masks mean the object. Raises DataError where no image has one."""
    masks = list_images(folder, deep=True)
    by_name: dict[tuple[str, ...], list[tuple[str, Path]]] = {}  # whatever case and Unicode form names have
    for path in masks:
        written = path.relative_to(folder).with_suffix("").as_posix()
        by_name.setdefault(comparable(written), []).append((written, path))
    _refuse_shifted(images, masks, folder)
    by_number: dict[tuple[Path, int], list[Path]] = {}
    for path in masks:
        if path.stem.isdigit():
            by_number.setdefault((path.relative_to(folder).parent, int(path.stem)), []).append(path)
    paired = {}
    for image in images:
        name = image.relative_to(image_root)
        number = name.parent, int(name.stem) if name.stem.isdigit() else -1
        named = (_one_named(written, by_name) for written in (name.with_suffix("").as_posix(), name.as_posix()))
        mask = next(filter(None, named), None) or _only(by_number.get(number, ()))
        if mask is not None:
            paired[image] = mask
    missing = [image.name for image in images if image not in paired]
    if paired and (lonely := sorted(set(masks) - set(paired.values()))):
        log.info("%s: %d of %d masks are of no image, first %s", folder, len(lonely), len(masks), lonely[0].name)
    if not paired and len(masks) == len(images):
        log.info("%s: no mask is named like its image; pairing them in the order of their names", folder)
        return dict(zip(images, masks, strict=True))
    if not paired:
        raise DataError(
            f"{folder}: no mask for any of {len(images)} images, first {missing[0]}. Tried the same name, the same "
            f"number, and the order of names ({len(masks)} masks). Name the masks like their images, or "
            f"{_USE_NONE[means]}."
        )
    if missing and means == "ignore":
        log.warning(
            "%s: %d of %d images have no mask and are used whole, first %s",
            folder,
            len(missing),
            len(images),
            missing[0],
        )
    elif missing:
        log.warning(
            "%s: leaving out %d of %d images, which have no mask, first %s. Add their masks, or use all images without "
            "masks with dataset.apply_mask=false",
            *(folder, len(missing), len(images), missing[0]),
        )
    return paired


def _one_named(name: str, by_name: Mapping[tuple[str, ...], Sequence[tuple[str, Path]]]) -> Path | None:
    """The mask of exactly this name without suffix, else the only one of it in another case or Unicode form, if any.

    Raises DataError for two of exactly this name."""
    alike = by_name.get(comparable(name), ())
    same = _only([path for written, path in alike if written == name])
    return alike[0][1] if same is None and len(alike) == 1 else same


def _only(masks: Sequence[Path]) -> Path | None:
    """The mask of an image, if there is one. Raises DataError for two."""
    if len(masks) > 1:
        raise DataError(f"{masks[0]}: expected one mask for the image, got {masks[1].name} too. Remove the wrong one.")
    return masks[0] if masks else None


def _refuse_shifted(images: Sequence[Path], masks: Sequence[Path], folder: Path) -> None:
    """Raises DataError where as many masks as images are numbered by as much more or less than these."""
    if len(images) != len(masks) or not all(path.stem.isdigit() for path in (*images, *masks)):
        return
    numbers, others = (sorted(int(path.stem) for path in paths) for paths in (images, masks))
    shift = others[0] - numbers[0]
    if shift and len(images) > 1 and all(b - a == shift for a, b in zip(numbers, others, strict=True)):
        raise DataError(
            f"{folder}: expected masks with the names of their images, got as many whose numbers are off by {shift}: "
            f"from {others[0]} on, where the images begin with {numbers[0]}. Name each mask like its image."
        )


def read_masked(
    image_path: Path, mask_path: Path | None, orientation: Orientation | None = None, turns: bool = True
) -> np.ndarray:
    """(H, W, 3) uint8 image, or (H, W, 4) with its mask as alpha. Raises DataError.

    orientation: how the pixels of the image are used, None: turned by their own tag; turns: see `orientation_of`."""
    image = read_image(image_path, orientation and orientation.applied)[..., :3]
    if mask_path is None:
        return image
    alpha = mask_of_image(mask_path, image, image_path, orientation, turns)
    if not alpha.any():
        raise DataError(
            f"{mask_path}: expected a mask that is white on the object, got one that is black everywhere. Correct it, "
            f"remove {image_path.name} and its mask, or set dataset.apply_mask=false."
        )
    return np.dstack([image, alpha])


def mask_of_image(
    mask_path: Path,
    image: np.ndarray,
    image_path: Path,
    orientation: Orientation | None = None,
    turns: bool = True,
    means: MaskMeaning = "object",
) -> np.ndarray:
    """(H, W) uint8, as `read_mask`, of an image (H, W, C) that was read as `orientation` says. Raises DataError for
    another size."""
    size = image.shape[1], image.shape[0]
    photo = orientation or orientation_of(image_path, None, turns=True)
    alpha = read_mask(mask_path, orientation_of_mask(mask_path, size, photo, turns), means)
    if alpha.shape != image.shape[:2]:
        raise DataError(
            f"{mask_path}: expected the size of {image_path.name}, {size[0]}x{size[1]}, got "
            f"{alpha.shape[1]}x{alpha.shape[0]}. Resize the mask, or {_USE_NONE[means]}."
        )
    return alpha


def kept_pixels(
    masks: Sequence[np.ndarray | None], sizes: np.ndarray, paths: Sequence[Path | None], say: Callable[[str], None]
) -> np.ndarray:
    """(P,) bool, the pixels of images at `sizes` (N, 2) that masks of "ignore" (H, W) uint8 leave; None leaves all.

    paths: of the masks; say: warns where they look like masks of an object. Raises DataError for one that leaves none.
    """
    parts, border, centre = [], [], []
    for mask, (width, height), path in zip(masks, sizes.tolist(), paths, strict=True):
        if mask is None:
            parts.append(np.ones(width * height, bool))
            continue
        kept = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA) >= _KEPT
        if not kept.any():
            raise DataError(
                f"{path}: expected a mask that is black where not to look, got one that is black everywhere. Correct "
                f"it, remove the image, or {_USE_NONE['ignore']}."
            )
        parts.append(kept.ravel())
        shares = _border_and_centre(kept)
        border.append(shares[0])
        centre.append(shares[1])
    told = [part for part, path in zip(parts, paths, strict=True) if path is not None]
    if told and (share := float(np.mean([part.mean() for part in told]))) < _LITTLE:
        say(
            f"the masks say not to look at {1.0 - share:.0%} of the pixels; if their white is where not to look, "
            f"invert them"
        )
    if border and np.mean(border) < 0.2 and np.mean(centre) > np.mean(border) + 0.3:
        say(
            "the masks say not to look at most of the image border, as masks of an object would; if their white is the "
            "object and all else is empty, set dataset.masks=object"
        )
    return np.concatenate(parts)


def _border_and_centre(mask: np.ndarray) -> tuple[float, float]:
    """The share of the border and of the middle of a mask (H, W) in [0, 1] that it covers."""
    height, width = mask.shape
    border = np.mean([mask[0].mean(), mask[-1].mean(), mask[:, 0].mean(), mask[:, -1].mean()])
    return float(border), float(mask[height // 3 : max(2 * height // 3, 1), width // 3 : max(2 * width // 3, 1)].mean())


def read_mask(path: Path, orientation: int | None = None, means: MaskMeaning = "object") -> np.ndarray:
    """(H, W) uint8: 255 on the object, 0 around it, see `mask_levels`; how masks are read is said once for a folder.

    orientation: see `read_image`. Raises DataError where it is not clear what carries the object."""
    try:
        levels = mask_levels(read_image(path, orientation), path.suffix.lower() in _LOSSY)
    except ValueError as error:
        raise DataError(
            f"{path}: expected a mask whose alpha varies, or that is black around the object and white on it, got "
            f"{error}. Make it black and white or give it alpha, or {_USE_NONE[means]}."
        ) from None
    _say_once(path.parent, levels.said)
    return levels.alpha


def _say_once(folder: Path, said: str) -> None:
    with _LOCK:  # masks are read in threads
        if (folder, said) in _SAID:
            return
        _SAID.add((folder, said))
    log.info("%s: masks are read %s", folder, said)


def check_masks(scene: Scene, folder: Path, say: Callable[[str], None] | None = None) -> None:
    """Raises DataError when the masks of a scene cover everything, or the surroundings instead of the object.

    say: warns where they cover nearly all, as those do that tell where not to look; None: nothing can be such."""
    if not scene.has_alpha:
        raise DataError(
            f"{folder}: expected masks that are black around the object, got masks that are white everywhere. Correct "
            f"them, or set dataset.apply_mask=false."
        )
    border, centre = [], []
    for index in range(len(scene)):
        shares = _border_and_centre(scene.image(index)[..., 3] / 255.0)
        border.append(shares[0])
        centre.append(shares[1])
    if np.mean(border) > np.mean(centre) + 0.3:
        raise DataError(
            f"{folder}: the masks look inverted: on average {np.mean(border):.0%} of the image border is white, but "
            f"only {np.mean(centre):.0%} of the middle. White must mean the object. Invert them, "
            f"or set dataset.apply_mask=false."
        )
    if say is not None and np.mean(border) > _FULL and np.mean(centre) > _FULL:
        say(
            "the masks are white nearly to the image border; if their black only says where not to look, set "
            "dataset.masks=ignore"
        )


def check_band(scene: Scene, width: int) -> None:
    """Raises DataError where `width` asks for a band around outlines, but the scene has no masks."""
    if width and not scene.has_alpha:
        raise DataError(
            f"dataset.mask_band={width}: expected images with masks or alpha, {scene.name} has none. Set it to 0, or "
            f"give masks."
        )


def outline_band(scene: Scene, width: int) -> np.ndarray:
    """(P,) bool in the order of `scene.pixels`: whether a pixel is within `width` pixels of one on the other side
    of the mask's outline. A pixel that is at least half opaque is inside; the border of an image is no outline."""
    band = np.empty(len(scene.pixels), dtype=bool)
    for index, start in enumerate(scene.offsets):
        inside = (scene.image(index)[..., 3] >= 128).astype(np.uint8)
        # one of the two is 0; without an outline the other is huge
        distance = sum(cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (inside, 1 - inside))
        band[start : start + inside.size] = (distance <= width).ravel()
    return band
