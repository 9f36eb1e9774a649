"""Writes transforms.json as instant-ngp's and nerfstudio's converters do, and as NeRF's renderings of Blender came."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from drawn_world import World
from lens_formulas import Lens
from scene_choices import Choices

APPLIED = np.array([[0.0, 1.0, 0.0, 0.1], [1.0, 0.0, 0.0, -0.2], [0.0, 0.0, -1.0, 0.3]])  # of nerfstudio, and shifted
APPLIED_SCALE = 0.25
_KEYS = {  # of the parameters behind fx, fy, cx, cy, and what the file calls the lens
    "PINHOLE": ((), "PINHOLE"),
    "SIMPLE_RADIAL": (("k1",), "SIMPLE_RADIAL"),
    "RADIAL": (("k1", "k2"), "RADIAL"),
    "OPENCV": (("k1", "k2", "p1", "p2"), "OPENCV"),
    "K3": (("k1", "k2", "p1", "p2", "k3"), "OPENCV"),
    "K4": (("k1", "k2", "p1", "p2", "k3", "k4"), "OPENCV"),
    "OPENCV_FISHEYE": (("k1", "k2", "k3", "k4"), "OPENCV_FISHEYE"),
    "SIMPLE_RADIAL_FISHEYE": (("k1",), "SIMPLE_RADIAL_FISHEYE"),
    "RADIAL_FISHEYE": (("k1", "k2"), "RADIAL_FISHEYE"),
}


def write_json(root: Path, choices: Choices, world: World, names: list[str], masks: list[str]) -> None:
    """transforms.json of photographs and masks below `root`; masks is empty where it does not name them."""
    frames = []
    for i, name in enumerate(names):
        frame: dict[str, Any] = {"file_path": _path(name, choices)}
        if choices.layout == "ngp":
            frame["sharpness"] = 30.5
        if masks:
            frame["mask_path"] = masks[i]
        if choices.per_frame:
            frame |= _lens(world.lenses[i], choices.layout)
        frames.append(frame | {"transform_matrix": _pose(world, i, choices).tolist()})
    if choices.repeated != "no":
        again = dict(frames[0])  # every 8th view is held out, the first too
        if choices.repeated == "other":
            again["transform_matrix"] = frames[1]["transform_matrix"]
        frames.append(again)
    meta = {} if choices.per_frame else _lens(world.lenses[0], choices.layout)
    if choices.layout == "ngp":
        meta |= {"aabb_scale": 4}
    elif choices.applied:
        meta |= {"applied_transform": APPLIED.tolist(), "applied_scale": APPLIED_SCALE}
    (root / "transforms.json").write_text(json.dumps(meta | {"frames": frames}, indent=2), encoding="utf-8")


def write_blender(root: Path, choices: Choices, world: World, names: dict[str, list[str]]) -> None:
    """transforms_train.json and transforms_test.json; names: the photographs of the two, in the order of the views."""
    lens, first = world.lenses[0], 0
    for split, files in names.items():
        frames = [
            {
                "file_path": "./" + name.rpartition(".")[0] if choices.suffix == "png" else name,
                "rotation": 0.0126,
                "transform_matrix": _pose(world, first + i, choices).tolist(),
            }
            for i, name in enumerate(files)
        ]
        first += len(files)
        meta: dict[str, Any] = {"camera_angle_x": 2 * math.atan(lens.size[0] / (2 * lens.focal[0]))}
        if choices.principal != "centred" or lens.focal[0] != lens.focal[1]:
            meta = _lens(lens, "ngp")
        (root / f"transforms_{split}.json").write_text(json.dumps(meta | {"frames": frames}), encoding="utf-8")


def _pose(world: World, index: int, choices: Choices) -> np.ndarray:
    """(4, 4) in OpenGL's axes, in the coordinates of the file."""
    pose = world.placed(index) @ np.diag([1.0, -1.0, -1.0, 1.0])
    if choices.applied:
        pose[:3] = APPLIED @ pose
        pose[:3, 3] *= APPLIED_SCALE
    return pose


def _lens(lens: Lens, layout: str) -> dict[str, Any]:
    keys, kind = _KEYS[lens.model]
    values: dict[str, Any] = {"w": lens.size[0], "h": lens.size[1], "fl_x": lens.focal[0], "fl_y": lens.focal[1]}
    values |= {"cx": lens.centre[0], "cy": lens.centre[1], **dict(zip(keys, lens.extra, strict=True))}
    if layout == "nerfstudio":
        return values | {"camera_model": kind}
    for key, length, focal in zip("xy", lens.size, lens.focal, strict=True):
        values[f"camera_angle_{key}"] = 2 * math.atan(length / (2 * focal))
    return values | ({"is_fisheye": True} if kind.endswith("FISHEYE") else {})


def _path(name: str, choices: Choices) -> str:
    return {
        "relative": name,
        "dotted": f"./{name}",
        "backslash": name.replace("/", "\\"),
        "bare": name.rpartition(".")[0],
        "absolute": f"/home/somebody/data/scene/{name}",
    }[choices.paths]
