"""Draws what a written scene is like, from a seed alone: layout, lens, place in the world, names, masks, images."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

COLMAP_LENSES = (
    *("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "FULL_OPENCV", "OPENCV_FISHEYE", "FOV"),
    *("SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE"),
)
JSON_LENSES = (
    *("PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "K3", "K4", "OPENCV_FISHEYE"),
    *("SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE"),
)
LENSES = {  # by layout
    "colmap_bin": COLMAP_LENSES,
    "colmap_txt": COLMAP_LENSES,
    "ngp": ("PINHOLE", "OPENCV", "OPENCV_FISHEYE"),
    "nerfstudio": JSON_LENSES,
    "neus": ("PINHOLE",),
    "bmvs": ("PINHOLE",),
    "blender": ("PINHOLE",),
}
NAMES = ("numbers", "unpadded", "gaps", "spaces", "unicode", "folders", "upper", "collide", "dots")
SUFFIXES = ("png", "jpg", "webp", "tif", "bmp")
TAGGED = ("png", "jpg", "webp", "tif")  # may have an orientation
WITH_ALPHA = ("png", "webp", "tif")
MASKS = (  # how a mask file tells the object from the rest
    *("255", "01", "bit", "palette", "label", "u16", "jpeg", "cutout", "grey_cutout", "opaque", "transparent_white"),
)
ORIENTATIONS = (1, 2, 3, 4, 5, 6, 7, 8)


@dataclass(frozen=True)
class Choices:
    """One scene. The first value of each choice is the plain one."""

    seed: int
    layout: str
    size: tuple[int, int] = (96, 72)  # width, height of the pixels that the cameras mean
    views: int = 6
    lens: str = "PINHOLE"
    principal: str = "centred"  # near: within 4 % of the centre; crop: up to 20 % of the image beside it; corner
    ratio: int = 1  # the cameras were made for images so many times larger
    orientation: int = 1  # EXIF tag of the photographs
    turned: bool = False  # whether the cameras mean the pixels as turned by the tag, else as stored
    scale: float = 1.0  # world units per unit of the drawn scene
    offset: float = 0.0  # distance of the drawn scene from the origin of the world
    names: str = "numbers"
    suffix: str = "png"
    masks: str = "none"  # alpha: of the images; ignore: nerfstudio's, black where not to train; else one of MASKS
    appended: bool = False  # masks are named photo.jpg.png
    mask_path: bool = False  # the JSON file names the masks
    per_frame: bool = False  # each frame, or each image of COLMAP, has its own camera
    single: bool = False  # float32 files
    applied: bool = False  # nerfstudio's applied_transform and applied_scale
    repeated: str = "no"  # a frame listed twice: equal, or with another pose (other)
    numbered: bool = False  # NeuS: matrices are numbered as the images are named, with gaps
    paths: str = "relative"  # in JSON: dotted (./), backslash, bare (no extension), absolute (of another machine)

    def __str__(self) -> str:
        told = [f"{f.name}={getattr(self, f.name)}" for f in fields(self) if getattr(self, f.name) != f.default]
        return " ".join(told)


def draw(seed: int, **fixed: Any) -> Choices:
    """The scene of a seed; `fixed` replaces what was drawn, and what cannot be together is made plain."""
    random = np.random.default_rng([24, seed])

    def one(options: tuple, plain: float = 0.5) -> Any:
        return options[0] if random.random() < plain else options[int(random.integers(len(options)))]

    layout = fixed.get("layout", tuple(LENSES)[seed % len(LENSES)])
    size = int(random.integers(72, 121)), int(random.integers(56, 91))
    drawn = {
        "layout": layout,
        "size": size[::-1] if random.random() < 0.3 else size,
        "views": int(random.integers(4, 13)),
        "lens": one(LENSES[layout], 0.0),
        "principal": one(("centred", "near", "crop", "corner"), 0.3),
        "ratio": one((1, 2, 4), 0.7),
        "orientation": one(ORIENTATIONS, 0.7),
        "turned": bool(random.random() < 0.5),
        "scale": float(10 ** random.uniform(-3, 3)),
        "offset": one((0.0, float(10 ** random.uniform(0, 7)))),
        "names": one(NAMES, 0.2),
        "suffix": one(SUFFIXES, 0.3),
        "masks": one(("none", "alpha", *MASKS, "ignore"), 0.15),
        "applied": bool(random.random() < 0.4),
        "repeated": one(("no", "equal", "other"), 0.85),
        "paths": one(("relative", "dotted", "backslash", "bare", "absolute")),
    }
    flags = ("appended", "mask_path", "per_frame", "single", "numbered")
    drawn |= {flag: bool(random.random() < 0.3) for flag in flags}
    return _possible(replace(Choices(seed, layout), **(drawn | fixed)))


def plain(seed: int, layout: str, **fixed: Any) -> Choices:
    """A scene of a layout with nothing special but what is `fixed`."""
    return _possible(replace(Choices(seed, layout), **fixed))


def _possible(wish: Choices) -> Choices:
    """The scene without what its layout, or its image format, cannot have."""
    json, colmap = wish.layout in ("ngp", "nerfstudio", "blender"), wish.layout.startswith("colmap")
    neus = wish.layout in ("neus", "bmvs")
    blender = wish.layout == "blender"
    off: dict[str, Any] = {"suffix": "png"} if wish.masks == "alpha" and wish.suffix not in WITH_ALPHA else {}
    suffix = off.get("suffix", wish.suffix)
    if suffix not in TAGGED or blender:  # renderings have no tag
        off["orientation"] = 1
    if off.get("orientation", wish.orientation) in (1, 3, 2, 4) and not neus:
        off["turned"] = False  # nothing in a file tells 180 degrees: its writer saw the pixels as stored
    if abs(wish.size[0] / wish.size[1] - 1.0) < 0.02:
        off["turned"] = False  # nor does it of a square
    if neus:
        off["turned"] = True  # NeuS reads with OpenCV, which turns
    if wish.masks == "ignore" and wish.layout != "nerfstudio":
        off["masks"] = "none"
    if blender:
        off |= {"masks": "alpha" if wish.masks == "alpha" else "none"}
    if neus and wish.masks == "alpha":
        off["masks"] = "255"
    if neus and (wish.names == "folders" or wish.names == "collide"):
        off["names"] = "numbers"
    if wish.names not in ("numbers", "gaps", "unpadded"):
        off["numbered"] = False
    if not json or wish.names in ("folders", "collide") or blender:
        off["repeated"] = "no"
    if not json or (wish.paths == "bare" and suffix not in ("png", "jpg", "webp")):
        off["paths"] = "relative"
    elif wish.paths == "bare" and wish.names == "dots":
        off["names"] = "numbers"
    if wish.layout != "nerfstudio":
        off |= {"applied": False, "mask_path": False}
    if not neus:
        off |= {"single": False, "numbered": False}
    elif wish.single:
        off["offset"] = 0.0  # few digits leave nothing of a scene that is far away
    if not (json or colmap) or blender:
        off["per_frame"] = False
    return replace(wish, **off)
