"""A set of photographs with its truth, a ball, and what prepare.py would make of it in another frame and unit."""

import json
from pathlib import Path

import numpy as np
from scenes_on_disk import disc, random_image, ring_of_cameras, write_colmap
from shapes import ball

from utils.images import write_png
from utils.mesh import transform
from utils.mesh.ply import write_ply

SCALE, SHIFT = 2.0, np.array([1.0, -2.0, 0.5])  # from the frame of the cameras to that of the truth
TRUTH_FROM_OURS = np.vstack([np.column_stack([SCALE * np.eye(3), SHIFT]), [0.0, 0.0, 0.0, 1.0]])
NUM = 8


def write_set(root: Path) -> Path:
    """Writes images/, gt_mask/, gt_cameras.json and gt_mesh.ply of a ball of radius 0.5 in ours; returns the folder."""
    frames = []
    for index, c2w in enumerate(ring_of_cameras(NUM)):
        pose = np.eye(4)
        pose[:3, 3] = SCALE * c2w[:, 3] + SHIFT
        frames.append({"file_path": f"images/{index:03d}.png", "transform_matrix": pose.tolist()})
        write_png(root / "images" / f"{index:03d}.png", random_image(index, 3))
        write_png(root / "gt_mask" / f"{index:03d}.png", disc())
    (root / "gt_cameras.json").write_text(json.dumps({"frames": frames}), encoding="utf-8")
    write_ply(transform(ball(0.5, 4), TRUTH_FROM_OURS), root / "gt_mesh.ply")
    return root


def write_prepared(root: Path) -> None:
    """Writes images/ and sparse/0 with the cameras in our frame."""
    write_colmap(root, ring_of_cameras(NUM), [random_image(index, 3) for index in range(NUM)])
