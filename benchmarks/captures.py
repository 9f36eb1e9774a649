"""From photographs to a mesh by the commands of README, against the truth: cameras, masks, surface, seconds.

    python -m benchmarks.captures scans/drill scans/box system.loss.lambda_mask=0.1

A set is a folder with images/ or video.mp4, gt_cameras.json (OpenGL camera-to-world; frames by file name, of a video by
number), gt_mesh.ply in the same frame and, for the masks, gt_mask/ of the photographs before undistortion."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.common import Result, progress
from datasets.capture.sparse_model import read_sparse_model
from datasets.geometry.agreement import fit_similarity
from datasets.masks import read_mask
from utils.errors import DataError
from utils.mesh import Mesh, transform
from utils.mesh.files import read_mesh
from utils.mesh.topology import topology
from utils.metrics.surface import Comparison, compare_meshes
from utils.registry import ROOT

CONFIG = "configs/neus-capture.yaml"
_SURFACE = ("chamfer_permille", "accuracy_permille", "fscore_1pct", "normal_consistency")
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


def mask_overlap(out: Path, scene: Path, source: Path, copy: Path) -> list[float]:
    """Intersection over union of the masks of each photograph with the true ones, undistorted as `--masks` does."""
    shutil.copytree(out, copy)
    _run(["scripts/prepare.py", str(source), str(copy), "--masks", str(scene / "gt_mask")], copy.with_suffix(".log"))
    found = []
    for path in sorted((copy / "masks").glob("*.png")):
        if (own := out / "masks" / path.name).is_file():
            ours, truth = read_mask(own) > 127, read_mask(path) > 127
            found.append(float((ours & truth).sum() / max((ours | truth).sum(), 1)))
    return found


def judge(scene: Path, out: Path, mesh: Mesh, is_video: bool) -> dict[str, Any]:
    """Figures of the cameras and of the whole mesh, everything in its file."""
    truth, cameras = read_mesh(scene / "gt_mesh.ply"), true_cameras(scene / "gt_cameras.json")
    similarity, errors = align(*(pair_centres(out, cameras, is_video)))
    box = np.array([truth.vertices.min(axis=0), truth.vertices.max(axis=0)])
    radius = np.median(np.linalg.norm(np.array(list(cameras.values())) - box.mean(axis=0), axis=1))
    figures = compare_meshes(transform(mesh, similarity), truth, Comparison(per_diagonal=True))
    shape = topology(mesh)
    return {
        "cameras": len(errors),
        "of": len(cameras),
        "centre_error_share": float(np.median(errors) / radius),
        **{name: figures[name] for name in _SURFACE if name in figures},
        "components": shape.components,
        "watertight": shape.watertight,
    }


def measure(scene: Path, config: str, overrides: Sequence[str], work: Path) -> dict[str, Any]:
    """One set: prepared, trained, judged."""
    is_video = (scene / "video.mp4").is_file()
    source, out = scene / ("video.mp4" if is_video else "images"), work / scene.name
    prepared = _run(["scripts/prepare.py", str(source), str(out)], work / f"{scene.name}-prepare.log")
    stages = json.loads((out / "prepare" / "report.json").read_text(encoding="utf-8"))
    folders = ["--exp_dir", str(work / "exp"), "--runs_dir", str(work / "runs")]
    command = ["launch.py", "--config", config, *folders, "--train", f"dataset.root_dir={out}", *overrides]
    trained = _run(command, work / f"{scene.name}-launch.log")
    save = max((work / "exp").glob(f"*{scene.name}/*/save"), key=lambda path: path.stat().st_mtime)
    metrics = json.loads((save / "metrics.json").read_text(encoding="utf-8"))
    mesh = next(save / name for name in metrics["mesh"]["files"] if name.endswith(".ply"))
    row = {"set": scene.name, **judge(scene, out, read_mesh(mesh), is_video)}
    if (scene / "gt_mask").is_dir():
        overlap = mask_overlap(out, scene, source, work / f"{scene.name}-true-masks")
        row |= {"mask_iou": float(np.mean(overlap)), "worst_mask_iou": min(overlap)} if overlap else {}
    row |= {"psnr_inside": metrics.get("psnr_inside"), "unseen_area_share": metrics["mesh"].get("unseen_area_share")}
    row |= {"prepare_seconds": prepared, "launch_seconds": trained, "train_seconds": metrics["train_seconds"]}
    return row | {"stages": {name: stage["seconds"] for name, stage in stages.items() if "seconds" in stage}}


def _run(command: Sequence[str], log: Path) -> float:
    """Runs a script of the project; returns its seconds. Raises DataError with its last lines where it fails."""
    started = time.perf_counter()
    with log.open("w", encoding="utf-8") as file:
        code = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=file, stderr=file, check=False).returncode
    if code:
        raise DataError(f"{' '.join(command)} ended with {code}: {log.read_text(encoding='utf-8')[-400:]}")
    return time.perf_counter() - started


def work(argv: list[str]) -> int:
    """Measures each set; returns the exit code."""
    parser = common.Parser("captures", "From photographs to a mesh by the commands of README, against the truth.")
    parser.add_argument("sets", type=Path, nargs="+", metavar="SET", help="folder of photographs with their truth")
    parser.add_argument("--config", default=CONFIG, help=f"what is trained (default: {CONFIG})")
    parser.add_argument("--name", default="captures", help="of the result")
    args = common.parse_with_overrides(parser, argv)
    overrides = [*args.overrides, *(["trainer.max_steps=40", "system.warmup_steps=10"] if args.quick else [])]
    result = Result("captures", args.name, common.chosen_device(args.device), args, argv)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="captures-") as folder:
        for scene in args.sets:
            progress(scene.name)
            rows.append(measure(scene.resolve(), args.config, overrides, Path(folder)))
            result.write(rows=rows, overrides=overrides)
    print(result.path)
    return 0


if __name__ == "__main__":
    sys.exit(common.run_command(work))
