"""Lays estimated cameras onto true ones, so that a mesh can be compared with the truth in its frame."""

import json
import re
from pathlib import Path

import numpy as np

from datasets.capture.sparse_model import read_sparse_model
from datasets.geometry.agreement import fit_similarity
from utils.errors import DataError
from utils.mesh.files import read_mesh

_OUTLIER, _ROUNDS = 3.0, 5  # times the median error: cameras that far off do not place the mesh


def true_cameras(path: Path) -> dict[str, np.ndarray]:
    """Centres (3,) by the stem of a photograph's name, or the number of a video's frame. Raises DataError."""
    try:
        frames = json.loads(path.read_text(encoding="utf-8"))["frames"]
        return {
            str(frame["frame"]) if "frame" in frame else Path(frame["file_path"]).stem: np.array(
                frame["transform_matrix"], np.float64
            )[:3, 3]
            for frame in frames
        }
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: expected cameras in the form of a transforms.json, got {error!r}.") from error


def pair_centres(out: Path, truth: dict[str, np.ndarray], is_video: bool) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) estimated and true centres of the photographs that have both. Raises DataError for fewer than three."""
    model = read_sparse_model(out / "sparse" / "0")
    keys = [str(int(re.findall(r"\d+", name)[-1])) if is_video else Path(name).stem for name in model.names]
    both = [(centre, truth[key]) for key, centre in zip(keys, model.c2w[:, :, 3], strict=True) if key in truth]
    if len(both) < 3:
        raise DataError(f"{out}: expected cameras of at least three photographs of the truth, got {len(both)}.")
    ours, theirs = zip(*both, strict=True)
    return np.array(ours), np.array(theirs)


def align(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(4, 4) from estimated centres (N, 3) to true ones (N, 3), without those that are far off, and all errors (N,)."""
    kept = np.ones(len(ours), bool)
    for _ in range(_ROUNDS):
        similarity = fit_similarity(ours[kept], theirs[kept])
        errors = np.linalg.norm(ours @ similarity[:3, :3].T + similarity[:3, 3] - theirs, axis=1)
        kept = errors <= _OUTLIER * max(float(np.median(errors)), 1e-12)
    return similarity, errors


def align_with_truth(scene: Path, out: Path, is_video: bool) -> tuple[np.ndarray, dict[str, float]]:
    """(4, 4) from the frame of a prepared folder to that of the truth, and the figures of the cameras.

    scene: the set with gt_cameras.json and gt_mesh.ply. Raises DataError."""
    cameras, truth = true_cameras(scene / "gt_cameras.json"), read_mesh(scene / "gt_mesh.ply")
    similarity, errors = align(*pair_centres(out, cameras, is_video))
    middle = 0.5 * (truth.vertices.min(axis=0) + truth.vertices.max(axis=0))
    radius = np.median(np.linalg.norm(np.array(list(cameras.values())) - middle, axis=1))
    share = float(np.median(errors) / radius)
    return similarity, {"cameras": len(errors), "of": len(cameras), "centre_error_share": share}
