"""A small NeRF-Synthetic scene that tests write themselves: a coloured sphere around the origin."""

from pathlib import Path

import numpy as np

from benchmarks.scenes.photographs import RADIUS, write_scene

__all__ = ["RADIUS", "write_sphere_scene"]

SIZE = 64
FAR = 8.0  # radius of the painted sphere around everything
WIDE = 0.9  # field of view where that one is seen, so that all of it is


def write_sphere_scene(root: Path, painted: bool = False) -> Path:
    """Writes transforms_*.json and images with 20 training, 2 validation and 2 test views; returns the folder.

    The images are RGBA; painted: RGB, and far behind the sphere lies a painted one that surrounds all."""
    return write_scene(root, 20, (SIZE, SIZE), **({"angle": WIDE, "paint": _paint} if painted else {}))


def _paint(eye: np.ndarray, directions: np.ndarray) -> np.ndarray:
    along = -(directions @ eye)
    miss = (eye**2).sum() - along**2  # squared distance of the ray from the centre
    behind = (eye + (along + np.sqrt(FAR**2 - miss))[..., None] * directions) / FAR
    return 0.5 + 0.4 * np.sin(4.0 * behind)
