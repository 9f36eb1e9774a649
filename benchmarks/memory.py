"""What images take: a training on many large generated images, kept on the GPU or in the memory of the host.

    python -m benchmarks.memory --config configs/neus-blender.yaml dataset.scene=none

The images are noise and nothing is learned from them; what counts is memory and time per step."""

import math
import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks import common
from benchmarks.common import Result, progress
from benchmarks.experiments import train
from benchmarks.recorder import Plan, Recorder
from datasets.options import Placement
from datasets.poses import look_at
from datasets.scene import Scene
from systems.configs import Experiment, read_experiment
from utils.config import schema
from utils.registry import register

STEPS, WARM = 600, 300


@register("dataset", "generated", builds="benchmarks.memory:GeneratedLoader")
@dataclass(frozen=True)
class GeneratedConfig:
    """Images of noise, of cameras on a ring around the origin."""

    num_views: int = 178
    width: int = 1920
    height: int = 1080
    pixels_on: Placement = "auto"


class GeneratedLoader:
    """Makes the images in memory; a single one where they are not for training."""

    def __init__(self, config: GeneratedConfig) -> None:
        self.config = config

    def load(self, split: str) -> Scene:
        """The scene of a split."""
        width, height = self.config.width, self.config.height
        num = self.config.num_views if split == "train" else 1
        angles = np.linspace(0.0, 2.0 * np.pi, num, endpoint=False)
        spots = 3.0 * np.stack([np.cos(angles), np.sin(angles), 0.4 + 0.0 * angles], axis=1)
        c2w = np.stack([look_at(spot, np.zeros(3), np.array([0.0, 0.0, 1.0])) for spot in spots])
        pixels = np.random.default_rng(0).integers(0, 256, (num * width * height, 3), dtype=np.uint8)
        return Scene(
            name="generated",
            pixels=pixels,
            sizes=np.tile([width, height], (num, 1)),
            c2w=c2w.astype(np.float32),
            intrinsics=np.tile(np.float32([width, width, width / 2, height / 2]), (num, 1)),
            image_names=tuple(f"{i:03d}" for i in range(num)),
        )


def measure(experiment: Experiment, device: torch.device, steps: int) -> dict[str, Any]:
    """Peak memory, ms per step and memory of the images of one training."""
    common.forget(device)
    recorder = Recorder(Plan(steps, frozenset(), 0, max(1, steps // 60), min(WARM, steps // 2)), device)
    train(experiment, device, [recorder])
    kept = ("ms_per_step", "peak_gpu_allocated_mib", "peak_gpu_reserved_mib", "peak_process_memory_mib")
    return {name: recorder.report[name] for name in kept if name in recorder.report}


def work(argv: list[str]) -> int:
    """Trains once for each placement; returns the exit code."""
    parser = common.Parser("memory", "What images take: a training on many large generated images; key=value override.")
    number = common.whole_number(1)
    parser.add_argument("--config", nargs="+", action="extend", required=True, metavar="YAML")
    parser.add_argument("--views", type=number, default=178, help="images (default: 178)")
    parser.add_argument("--size", type=number, nargs=2, default=[1920, 1080], metavar=("W", "H"), help="in pixels")
    args = common.parse_with_overrides(parser, argv)
    device = common.chosen_device(args.device)
    steps = 24 if args.quick else STEPS
    experiment = read_experiment(args.config, args.overrides)
    short = replace(experiment.trainer, max_steps=max(steps, experiment.system.warmup_steps + 1))
    size = GeneratedConfig(args.views, *args.size)
    result = Result("memory", "memory", device, args, argv, config=schema.to_dict(experiment))
    images_mib = common.rounded(size.num_views * math.prod(args.size) * 3 / 2**20)
    rows = []
    for placement in ("device", "host"):
        progress(f"{size.num_views} images of {size.width}x{size.height} on {placement}")
        placed = replace(experiment, trainer=short, dataset=replace(size, pixels_on=placement))
        rows.append({"pixels_on": placement, "images_mib": images_mib, **measure(placed, device, steps)})
        result.write(rows=rows, views=size.num_views, size=list(args.size))
    print(result.path)
    return 0


if __name__ == "__main__":
    sys.exit(common.run_command(work))
