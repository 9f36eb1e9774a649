"""A run's folder as launch.py leaves it, small and without any training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from shapes import ball

from systems.configs import read_experiment
from utils.config import schema
from utils.images import write_png
from utils.mesh import Mesh
from utils.mesh.ply import write_ply
from utils.video import write_video
from utils.visualise import side_by_side

SIZE = 24
PARTS = ("truth", "rgb", "normal", "depth")


def write_finished_run(folder: Path, *overrides: str, num_views: int = 3, **metrics: Any) -> Path:
    """Writes the folder and returns it; metrics: what metrics.json has beside, or in place of, the usual."""
    save = folder / "save"
    views = [{"file": f"it9-test/{k:03d}.png", "psnr": 20.0 + k, "ssim": 0.9} for k in range(num_views)]
    figures = {
        "psnr": 20.5,
        "ssim": 0.9,
        "video": "it9-test.mp4",
        "held_out": {"panel": PARTS, "views": views},
        "mesh": {"files": ["it9-mc8.obj", "it9-mc8.ply"], "faces": 320, "seconds": 1.5},
        "steps": 9,
        "train_seconds": 12.5,
        "peak_memory_mib": 100.0,
        "environment": {"device": "a <CPU>", "cpu_threads": 2, "cuda": None},
        "warnings": [],
    }
    experiment = read_experiment(["configs/neus-demo.yaml"], overrides)
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "parsed.yaml").write_text(OmegaConf.to_yaml(schema.to_dict(experiment)), encoding="utf-8")
    panels = [panel(index) for index in range(num_views)]
    for view, picture in zip(views, panels, strict=True):
        write_png(save / view["file"], picture)
    write_video(save / "it9-test.mp4", panels, 30)
    sphere = ball(1.0, 2)
    colors = (127.5 * (sphere.vertices + 1.0)).astype(np.uint8)
    write_ply(Mesh(sphere.vertices, sphere.faces, colors=colors), save / "it9-mc8.ply")
    (save / "metrics.json").write_text(json.dumps(figures | metrics), encoding="utf-8")
    log = folder / "csv_logs" / "version_0" / "metrics.csv"
    log.parent.mkdir(parents=True)
    log.write_text("step,train/loss,train/psnr,val/psnr\n4,0.5,10,\n9,0.25,15,\n9,,,14\n", encoding="utf-8")
    return folder


def panel(index: int) -> np.ndarray:
    """What a view shows: a ramp, the same a little brighter, and two plain pictures."""
    ramp = np.repeat(np.linspace(0.0, 0.5, SIZE)[None, :, None], SIZE, axis=0) * np.array([1.0, 0.5, 0.4 * index])
    return side_by_side([ramp, ramp + 0.1, np.full_like(ramp, 0.5), np.full_like(ramp, 0.8)])
