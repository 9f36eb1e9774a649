"""From photographs to a mesh by the commands of README, against the truth: cameras, masks, surface, seconds.

    python -m benchmarks.captures scans/drill scans/box system.loss.lambda_mask=0.1

A set is a folder with images/ or video.mp4, gt_cameras.json (OpenGL camera-to-world; frames by file name, of a video by
number), gt_mesh.ply in the same frame and, for the masks, gt_mask/ of the photographs before undistortion."""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.common import Result, progress
from benchmarks.truth.alignment import align_with_truth
from benchmarks.truth.preparation import is_video, prepare, prepare_with_true_masks, run_script
from datasets.masks import read_mask
from utils.mesh import Mesh, transform
from utils.mesh.files import read_mesh
from utils.mesh.topology import topology
from utils.metrics.comparison import Comparison
from utils.metrics.surface import compare_meshes

CONFIG = "configs/neus-capture.yaml"
_SURFACE = ("chamfer_permille", "accuracy_permille", "fscore_1pct", "normal_consistency")


def mask_overlap(out: Path, scene: Path, copy: Path) -> list[float]:
    """Intersection over union of the masks of each photograph with the true ones, undistorted as `--masks` does."""
    prepare_with_true_masks(scene, out, copy)
    found = []
    for path in sorted((copy / "masks").glob("*.png")):
        if (own := out / "masks" / path.name).is_file():
            ours, truth = read_mask(own) > 127, read_mask(path) > 127
            found.append(float((ours & truth).sum() / max((ours | truth).sum(), 1)))
    return found


def judge(scene: Path, out: Path, mesh: Mesh) -> dict[str, Any]:
    """Figures of the cameras and of the whole mesh, everything in its file."""
    similarity, cameras = align_with_truth(scene, out, is_video(scene))
    truth = read_mesh(scene / "gt_mesh.ply")
    figures = compare_meshes(transform(mesh, similarity), truth, Comparison(per_diagonal=True))
    shape = topology(mesh)
    return {
        **cameras,
        **{name: figures[name] for name in _SURFACE if name in figures},
        "components": shape.components,
        "watertight": shape.watertight,
    }


def measure(scene: Path, config: str, overrides: Sequence[str], work: Path) -> dict[str, Any]:
    """One set: prepared, trained, judged."""
    out = work / scene.name
    prepared = prepare(scene, out)
    stages = json.loads((out / "prepare" / "report.json").read_text(encoding="utf-8"))
    folders = ["--exp_dir", str(work / "exp"), "--runs_dir", str(work / "runs")]
    command = ["launch.py", "--config", config, *folders, "--train", f"dataset.root_dir={out}", *overrides]
    trained = run_script(command, work / f"{scene.name}-launch.log")
    save = max((work / "exp").glob(f"*{scene.name}/*/save"), key=lambda path: path.stat().st_mtime)
    metrics = json.loads((save / "metrics.json").read_text(encoding="utf-8"))
    mesh = next(save / name for name in metrics["mesh"]["files"] if name.endswith(".ply"))
    row = {"set": scene.name, **judge(scene, out, read_mesh(mesh))}
    if (scene / "gt_mask").is_dir():
        overlap = mask_overlap(out, scene, work / f"{scene.name}-true-masks")
        row |= {"mask_iou": float(np.mean(overlap)), "worst_mask_iou": min(overlap)} if overlap else {}
    row |= {"psnr_inside": metrics.get("psnr_inside"), "unseen_area_share": metrics["mesh"].get("unseen_area_share")}
    row |= {"prepare_seconds": prepared, "launch_seconds": trained, "train_seconds": metrics["train_seconds"]}
    return row | {"stages": {name: stage["seconds"] for name, stage in stages.items() if "seconds" in stage}}


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
