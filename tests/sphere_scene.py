"""A small NeRF-Synthetic scene that tests write themselves: a coloured sphere of radius 0.5 around the origin."""

import json
from pathlib import Path

import numpy as np

from utils.images import write_png

RADIUS = 0.5
SIZE = 64
ANGLE = 0.5  # horizontal field of view in radians
FAR = 8.0  # radius of the painted sphere around everything
WIDE = 0.9  # field of view where that one is seen, so that all of it is


def write_sphere_scene(root: Path, painted: bool = False) -> Path:
    """Writes transforms_*.json and images with 20 training, 2 validation and 2 test views; returns the folder.

    The images are RGBA; painted: RGB, and far behind the sphere lies a painted one that surrounds all."""
    for split, count, phase in (("train", 20, 0.0), ("val", 2, 0.3), ("test", 2, 0.7)):
        frames = []
        for index in range(count):
            height = 1.0 - 2.0 * (index + 0.5) / count  # a spiral covers the whole sphere of directions
            azimuth = 2.4 * index + phase
            ring = np.sqrt(1.0 - height**2)
            pose = _looking_at_origin(3.0 * np.array([ring * np.cos(azimuth), ring * np.sin(azimuth), height]))
            write_png(root / split / f"r_{index}.png", _render(pose, painted))
            frames.append({"file_path": f"./{split}/r_{index}", "transform_matrix": pose.tolist()})
        text = json.dumps({"camera_angle_x": WIDE if painted else ANGLE, "frames": frames})
        (root / f"transforms_{split}.json").write_text(text, encoding="utf-8")
    return root


def _looking_at_origin(position: np.ndarray) -> np.ndarray:
    """(4, 4) camera to world with OpenGL axes."""
    backward = position / np.linalg.norm(position)
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(backward, right), backward, position], axis=1)
    return pose


def _render(pose: np.ndarray, painted: bool) -> np.ndarray:
    focal = 0.5 * SIZE / np.tan(0.5 * (WIDE if painted else ANGLE))
    row, column = np.mgrid[:SIZE, :SIZE] + 0.5
    camera = np.stack([(column - SIZE / 2) / focal, -(row - SIZE / 2) / focal, -np.ones_like(row)], axis=-1)
    directions = camera @ pose[:3, :3].T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    along = -(directions @ pose[:3, 3])
    miss = (pose[:3, 3] ** 2).sum() - along**2  # squared distance of the ray from the centre
    normal = (pose[:3, 3] + (along - np.sqrt(np.maximum(RADIUS**2 - miss, 0.0)))[..., None] * directions) / RADIUS
    hit = (miss < RADIUS**2)[..., None]
    color = 0.5 + 0.4 * normal
    if painted:
        behind = (pose[:3, 3] + (along + np.sqrt(FAR**2 - miss))[..., None] * directions) / FAR
        image = np.where(hit, color, 0.5 + 0.4 * np.sin(4.0 * behind))
    else:
        image = np.concatenate([np.where(hit, color, 0.0), hit], axis=-1)
    return (image * 255.0).round().astype(np.uint8)
