"""Writes the cameras of the NeuS layout: world_mat_i = K [R | t] and scale_mat_i, pixel centres on integers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from drawn_world import World
from scene_choices import Choices

BALL = 1.1  # radius, in the drawn scene, of the ball around the object that scale_mat takes the unit ball to


def write_cameras(path: Path, choices: Choices, world: World, numbers: Sequence[int]) -> None:
    """cameras_sphere.npz of views with these numbers; each world_mat of any length, as homogeneous matrices may be."""
    kind = np.float32 if choices.single else np.float64
    scale = np.diag([BALL * world.scale] * 3 + [1.0])
    scale[:3, 3] = world.shift
    random, arrays = np.random.default_rng(choices.seed), {}
    for i, number in enumerate(numbers):
        lens, c2w = world.lenses[i], world.placed(i)
        k = np.array([[lens.focal[0], 0, lens.centre[0] - 0.5], [0, lens.focal[1], lens.centre[1] - 0.5], [0, 0, 1]])
        turn = c2w[:3, :3].T
        matrix = np.eye(4)
        matrix[:3] = k @ np.concatenate([turn, -turn @ c2w[:3, 3:]], axis=1)
        matrix[:3] *= random.choice([1.0, 0.5, -1.0]) if choices.numbered else 1.0
        arrays[f"world_mat_{number}"], arrays[f"scale_mat_{number}"] = matrix.astype(kind), scale.astype(kind)
        arrays[f"world_mat_inv_{number}"] = np.linalg.inv(matrix).astype(kind)
        arrays[f"scale_mat_inv_{number}"] = np.linalg.inv(scale).astype(kind)
    np.savez(path, **arrays)
