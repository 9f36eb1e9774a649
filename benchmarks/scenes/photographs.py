"""Generated photographs on disk, in the format of NeRF-Synthetic: of anything from all sides, or of a sphere."""

import json
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from datasets.poses import look_at
from utils.images import write_png

RADIUS, DISTANCE = 0.5, 3.0  # of the sphere around the origin; of the cameras from it
ANGLE = 0.5  # horizontal field of view in radians
TURN = 2.4  # radians from one camera to the next; their heights differ, so they lie on a spiral
SPLITS = (("train", 0.0), ("val", 0.3), ("test", 0.7))  # with the angle at which the spiral begins
HELD = 2  # photographs of each of the splits that are not trained on
Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]  # eye (3,), unit directions (H, W, 3) -> (H, W, 3) in [0, 1]
Shoot = Callable[[np.ndarray], np.ndarray]  # (3, 4) OpenCV camera to world -> (H, W, 3|4) uint8, sRGB, straight alpha


def write_scene(
    root: Path, photographs: int, size: tuple[int, int], angle: float = ANGLE, paint: Paint | None = None
) -> Path:
    """Writes transforms_*.json and images of `size` (width, height); returns the folder.

    photographs: to train on; angle: horizontal field of view in radians; paint: what lies behind the sphere, in RGB
    images; without it they are RGBA."""
    write_views(root, photographs, HELD, DISTANCE, angle, lambda c2w: _shot(c2w, size, angle, paint))
    return root


def write_views(
    root: Path,
    photographs: int,
    held: int,
    distance: float,
    angle: float,
    shoot: Shoot,
    at_a_time: int | None = None,
) -> None:
    """Writes transforms_*.json and what cameras see that look at the origin from all sides.

    photographs: to train on; held: of each other split; distance: of the cameras; angle: horizontal field of view in
    radians; at_a_time: None for one a processor."""
    with ThreadPoolExecutor(at_a_time or os.cpu_count()) as pool:
        for split, phase in SPLITS:
            frames, written = [], []
            num = photographs if split == "train" else held
            for index in range(num):
                c2w = _camera(1.0 - 2.0 * (index + 0.5) / num, TURN * index + phase, distance)
                name = f"{split}/r_{index}"
                frames.append({"file_path": f"./{name}", "transform_matrix": _opengl(c2w).tolist()})
                written.append(pool.submit(lambda path, c2w: write_png(path, shoot(c2w)), root / f"{name}.png", c2w))
            for one in written:
                one.result()
            text = json.dumps({"camera_angle_x": angle, "frames": frames})
            (root / f"transforms_{split}.json").write_text(text, encoding="utf-8")


def _camera(height: float, azimuth: float, distance: float) -> np.ndarray:
    """(3, 4) OpenCV camera to world; height: from -1 below the origin to 1 above it."""
    ring = math.sqrt(1.0 - height**2)
    place = distance * np.array([ring * math.cos(azimuth), ring * math.sin(azimuth), height])
    return look_at(place, np.zeros(3), np.array([0.0, 0.0, 1.0]))


def _opengl(c2w: np.ndarray) -> np.ndarray:
    """(4, 4) of the file: y up and z backwards."""
    return np.vstack([c2w * [1.0, -1.0, -1.0, 1.0], [0.0, 0.0, 0.0, 1.0]])


def _shot(c2w: np.ndarray, size: tuple[int, int], angle: float, paint: Paint | None) -> np.ndarray:
    """What a camera sees: the sphere, coloured by its normal, and around it what is painted, or nothing."""
    width, height = size
    c2w, focal = c2w.astype(np.float32), 0.5 * width / math.tan(0.5 * angle)
    column, row = np.meshgrid(np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5)
    camera = np.stack([(column - width / 2) / focal, (row - height / 2) / focal, np.ones_like(row)], axis=-1)
    directions = (camera / np.linalg.norm(camera, axis=-1, keepdims=True)) @ c2w[:, :3].T
    along = -(directions @ c2w[:, 3])
    inside = RADIUS**2 - DISTANCE**2 + along**2  # of the sphere, where it is above 0
    hit = (inside > 0.0)[..., None]
    normal = (c2w[:, 3] + (along - np.sqrt(np.maximum(inside, 0.0)))[..., None] * directions) / RADIUS
    behind = 0.0 if paint is None else paint(c2w[:, 3], directions)
    image = np.where(hit, 0.5 + 0.4 * normal, behind)
    image = np.concatenate([image, hit], axis=-1) if paint is None else image
    return (image * 255.0).round().astype(np.uint8)
