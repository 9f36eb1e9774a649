"""How lamps stood to an object that was moved between photographs, as a value and as a file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.files.json_files import read_json, to_vector
from datasets.geometry.normalise import move_direction
from utils.errors import DataError
from utils.files import replacing

LIGHTING_FILE = "lighting.json"
_REMEDY = " Prepare the folder again, or delete the file if lamps stand still in the scene."


@dataclass(frozen=True)
class Lighting:
    """The photographs that were taken in one lighting."""

    images: tuple[str, ...]  # file names
    # (3,) float64, unit length, in the frame of the cameras: lamps and camera go around the object about it together,
    # as they do, seen from an object on a turntable; None: lamps stand still beside the object
    axis: np.ndarray | None = None


@dataclass(frozen=True)
class SceneLighting:
    """The lightings of a scene."""

    axes: np.ndarray  # (G, 3) float32, unit length in the scene frame; 0 for lamps that stand still
    of_image: np.ndarray  # (N,) int64, the row of each image


def write_lightings(lightings: Sequence[Lighting], path: Path) -> None:
    """Writes lightings as JSON, whole or not at all."""
    values = [
        {"axis": None if one.axis is None else one.axis.tolist(), "images": list(one.images)} for one in lightings
    ]
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"lightings": values}, indent=1) + "\n", encoding="utf-8")


def read_lightings(path: Path) -> tuple[Lighting, ...]:
    """The lightings of a JSON file that `write_lightings` or a person wrote. Raises DataError."""
    values = read_json(path, "the JSON of lightings", _REMEDY)
    listed = values.get("lightings") if isinstance(values, dict) else None
    if not isinstance(listed, list) or not listed:
        raise DataError(f"{path}: expected lightings, a list of at least one, got {listed!r}.{_REMEDY}")
    lightings = tuple(_lighting(value, f"{path}: lighting {number}") for number, value in enumerate(listed))
    names = [name for one in lightings for name in one.images]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: expected each image in one lighting, got {twice} twice.{_REMEDY}")
    return lightings


def scene_lighting(
    lightings: Sequence[Lighting], names: Sequence[str], scene_from_world: np.ndarray, path: Path
) -> SceneLighting:
    """The lightings of images with these names; scene_from_world: (4, 4) similarity from the frame of the cameras.

    Raises DataError for an image that no lighting has."""
    numbers = {name: number for number, one in enumerate(lightings) for name in one.images}
    if missing := [name for name in names if name not in numbers]:
        raise DataError(f"{path}: expected each image in a lighting, got none for {missing[0]}.{_REMEDY}")
    axes = [np.zeros(3) if one.axis is None else move_direction(one.axis, scene_from_world) for one in lightings]
    return SceneLighting(np.array(axes, np.float32), np.array([numbers[name] for name in names], np.int64))


def _lighting(value: Any, where: str) -> Lighting:
    images = value.get("images") if isinstance(value, dict) else None
    if not isinstance(images, list) or not all(isinstance(name, str) for name in images):
        raise DataError(f"{where}: expected images, a list of file names, got {images!r}.{_REMEDY}")
    axis = value.get("axis")
    if axis is None:
        return Lighting(tuple(images))
    direction = to_vector(axis, "axis", where)
    if not (length := float(np.linalg.norm(direction))) > 0.0:
        raise DataError(f"{where}: expected axis to be a direction, got {axis!r}.{_REMEDY}")
    return Lighting(tuple(images), direction / length)
