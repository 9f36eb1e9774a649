"""Writes a scene of some choices to a folder: names its files, and calls the writer of its layout."""

from pathlib import Path

import numpy as np
from colmap_folder import write_model
from drawn_world import World, make_world
from json_folder import write_blender, write_json
from neus_folder import write_cameras
from picture_files import coded, ignored, write_mask, write_photo
from scene_choices import Choices

TEST_VIEWS = 2  # of a Blender scene


def write_scene(root: Path, choices: Choices) -> World:
    """The folder of a scene, and the truth about it."""
    world = make_world(choices)
    names = photo_names(choices)
    folder = "image" if choices.layout in ("neus", "bmvs") else "images"
    masks = [_mask_name(name, choices) for name in names]
    for i, name in enumerate(names):
        inside = world.silhouette(i, choices.size)
        photo = image = coded(i, choices.size)
        if choices.masks == "alpha":
            image = np.dstack([photo, np.where(inside, 255, 0).astype(np.uint8)])
        write_photo(root / folder / name, choices, image)
        if choices.masks not in ("none", "alpha"):
            ignore = choices.masks == "ignore"
            kind, shown = ("255", ignored(choices.size)) if ignore else (choices.masks, inside)
            write_mask(root / _mask_folder(choices) / masks[i], kind, shown, photo)
    if choices.layout.startswith("colmap"):
        write_model(root / "sparse/0", world, names, text=choices.layout == "colmap_txt")
    elif choices.layout == "blender":
        paths = [f"{folder}/{name}" for name in names]
        write_blender(root, choices, world, {"train": paths[:-TEST_VIEWS], "test": paths[-TEST_VIEWS:]})
    elif choices.layout in ("ngp", "nerfstudio"):
        named = choices.masks == "ignore" or (choices.mask_path and choices.masks not in ("none", "alpha"))
        paths = [f"{_mask_folder(choices)}/{mask}" for mask in masks] if named else []
        write_json(root, choices, world, [f"{folder}/{name}" for name in names], paths)
    else:
        numbers = camera_numbers(choices) if choices.numbered else range(choices.views)
        write_cameras(root / "cameras_sphere.npz", choices, world, numbers)
    return world


def camera_numbers(choices: Choices) -> list[int]:
    """The numbers in the names of the photographs."""
    return [3 * i + 2 if choices.names == "gaps" else i for i in range(choices.views)]


def photo_names(choices: Choices) -> list[str]:
    """The path of each photograph below their folder, in their natural order."""
    suffix = choices.suffix.upper() if choices.names == "upper" else choices.suffix
    stems = {
        "numbers": "{0:04d}",
        "gaps": "{1:04d}",
        "unpadded": "{0}",
        "spaces": "IMG {0:04d} (copy)",
        "unicode": "été_写真_{0:03d}",
        "folders": "cam_{2}/{0:03d}",
        "upper": "DSC_{0:04d}",
        "collide": "IMG{3}{4:04d}",  # beside IMG_0000: the same name, once spaces are made safe
        "dots": "frame.v2.{0:04d}",
    }
    halves = [divmod(i, (choices.views + 1) // 2) for i in range(choices.views)]
    parts = zip(range(choices.views), camera_numbers(choices), halves, strict=True)
    return [
        stems[choices.names].format(i, number, half, " _"[half], position) + f".{suffix}"
        for i, number, (half, position) in parts
    ]


def _mask_folder(choices: Choices) -> str:
    return "mask" if choices.layout in ("neus", "bmvs") else "masks"


def _mask_name(name: str, choices: Choices) -> str:
    suffix = "jpg" if choices.masks == "jpeg" else "png"
    return f"{name}.{suffix}" if choices.appended else f"{name.rpartition('.')[0]}.{suffix}"
