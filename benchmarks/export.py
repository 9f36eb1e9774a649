"""Times what is done with a trained model: a rendered view, and meshes at several resolutions.

    python -m benchmarks.export --resume exp/NAME/TRIAL

Needs the checkpoint alone, not the photographs: the views are those of a camera that circles the origin."""

import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import common
from benchmarks.common import Result, progress, rounded, spread, synchronise
from benchmarks.experiments import load_trained
from datasets.poses import look_at
from models.base import VolumeModel
from models.inference import render_rays
from systems.configs import Experiment
from systems.export.density_level import density_level
from systems.export.exporter import export_mesh
from systems.steps.step import view_background
from utils.cameras import pixel_rays
from utils.config import schema
from utils.environment import peak_memory
from utils.rays import Rays

RESOLUTIONS = (256, 512, 1024, 2048)
SIZE, QUICK_SIZE = 800, 32  # pixels along both sides of a view
VIEWS, QUICK_VIEWS = 10, 2
LEVEL_SIZE = 64  # pixels along both sides of the view from which the level of a density is found
WARM = 2  # views rendered before
DISTANCE = 8.0 / 3.0  # of the camera from the origin, in units of the region's radius
ANGLE = 0.69  # field of view in radians
ELEVATION = 0.5  # radians


def orbit_rays(index: int, total: int, radius: float, size: int, device: torch.device) -> Rays:
    """Rays of all pixels of frame `index` of `total` around the origin, size x size, row by row, in scene units."""
    azimuth = 2.0 * np.pi * index / total
    ring = np.cos(ELEVATION)
    side = np.array([ring * np.cos(azimuth), ring * np.sin(azimuth), np.sin(ELEVATION)])
    c2w = look_at(DISTANCE * radius * side, np.zeros(3), np.array([0.0, 0.0, 1.0]))
    focal = 0.5 * size / np.tan(0.5 * ANGLE)
    intrinsics = torch.tensor([focal, focal, 0.5 * size, 0.5 * size], dtype=torch.float32, device=device)
    pixel = torch.arange(size * size, device=device)
    camera = torch.from_numpy(c2w.astype(np.float32)).to(device)
    return pixel_rays(pixel % size, pixel // size, camera, intrinsics, 0.0, torch.inf)


def with_peaks(work: Callable[[], dict[str, Any]], device: torch.device) -> dict[str, Any]:
    """What `work` returns, with the peak of the GPU's memory while it ran and that of the process so far, in MiB."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    return work() | peak_memory(device)


def time_views(experiment: Experiment, model: VolumeModel, device: torch.device, quick: bool) -> dict[str, Any]:
    """Spread of the milliseconds of one view, in the precision of the test pass; the share of pixels that hit."""
    size, views = (QUICK_SIZE, QUICK_VIEWS) if quick else (SIZE, VIEWS)
    background = view_background(experiment.model, device)
    precision = experiment.trainer.precision
    lower = precision == "bf16" or (precision == "16" and device.type == "cuda")
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    times, hit = [], []
    with torch.autocast(device.type, dtype, enabled=lower):
        for index in range(-WARM, views):
            rays = orbit_rays(index, views, model.config.radius, size, device)
            synchronise(device)
            started = time.perf_counter()
            images = render_rays(model, rays, background)
            synchronise(device)
            if index >= 0:
                times.append((time.perf_counter() - started) * 1e3)
                hit.append(float((images["opacity"] > 0.5).float().mean()))
    return {"size": [size, size], "ms": spread(times), "hit": rounded(float(np.mean(hit)))}


def time_mesh(experiment: Experiment, model: VolumeModel, resolution: int, device: torch.device) -> dict[str, Any]:
    """Seconds from the field to the files, colours and normals included, and the size of the mesh."""
    geometry = experiment.model.geometry
    level = geometry.isosurface.threshold
    if level == "auto" and not model.is_sdf:
        level = density_level(model, orbit_rays(0, 1, model.config.radius, LEVEL_SIZE, device))
    finer = replace(geometry, isosurface=replace(geometry.isosurface, resolution=resolution, threshold=level))
    alone = replace(experiment.export, crop="none", texture="none")  # without what needs the photographs
    experiment = replace(experiment, export=alone, model=replace(experiment.model, geometry=finer))
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        synchronise(device)
        started = time.perf_counter()
        made = export_mesh(model, experiment, Path(folder) / "mesh", np.eye(4))
        seconds = time.perf_counter() - started
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    return {
        "resolution": resolution,
        "seconds": rounded(seconds),
        "vertices": made["vertices"],
        "faces": made["faces"],
        "files_mib": rounded(size / 2**20),
    }


def parse_args(argv: list[str]) -> Namespace:
    """The flags of the command line. Raises ConfigError."""
    parser = common.Parser("export", "Times a view and meshes of a trained model.")
    parser.add_argument("--resume", type=Path, required=True, metavar="CKPT", help="a checkpoint, or a run's folder")
    number = common.whole_number(2)
    parser.add_argument("--resolutions", type=number, nargs="+", metavar="R", help="default: 256 512 1024 2048")
    return parser.parse_args(argv)


def work(argv: list[str]) -> None:
    """Times everything, the finest mesh last, and writes the JSON file after each part."""
    args = parse_args(argv)
    device = common.chosen_device(args.device)
    experiment, model, step = load_trained(args.resume, [], device)
    config = schema.to_dict(experiment)
    result = Result("export", f"export-{experiment.name}", device, args, argv, step=step, config=config)
    progress("rendering")
    result.write(view=with_peaks(lambda: time_views(experiment, model, device, args.quick), device))
    meshes: list[dict[str, Any]] = []
    for resolution in sorted(args.resolutions or ((24, 48) if args.quick else RESOLUTIONS)):
        progress(f"meshing at {resolution}")
        try:
            made = with_peaks(lambda size=resolution: time_mesh(experiment, model, size, device), device)
        except torch.OutOfMemoryError:
            made = {"resolution": resolution, "failed": "out of GPU memory"}
        meshes.append(made)
        result.write(meshes=meshes)
    print(result.path)


if __name__ == "__main__":
    sys.exit(common.run_command(work))
