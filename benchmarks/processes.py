"""Trains the same experiment with one GPU and with several: rays a second, quality, and what more of them are worth.

python -m benchmarks.processes --config configs/neus-blender.yaml dataset.scene=lego --gpus 0 0,1 --fewer_steps

Several GPUs see more rays in a step; with --fewer_steps they are also trained for as many rays as the first run saw, in
as many fewer steps, at a learning rate that grows with the root of their number, as the noise of a mean gradient
falls."""

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from systems.configs import Experiment, read_experiment
from utils.config import schema
from utils.errors import ConfigError
from utils.registry import ROOT

QUICK = ["trainer.max_steps=30", "trainer.log_every_n_steps=5"]
STEADY = 0.5  # from this share of the steps on rays are counted


def make_parser() -> common.Parser:
    """The flags of the command line; key=value overrides are taken off before."""
    parser = common.Parser("processes", "Trains with one GPU and with several; key=value pairs override the YAML.")
    parser.add_argument("--config", nargs="+", action="extend", required=True, metavar="YAML")
    parser.add_argument(
        "--gpus", nargs="+", default=["0", "0,1"], metavar="GPU", help="values of launch.py --gpu (default: 0 and 0,1)"
    )
    told = "with several GPUs also as many fewer steps as they see more rays, at a higher learning rate"
    parser.add_argument("--fewer_steps", action="store_true", help=told)
    return parser


def fewer_steps(experiment: Experiment, run: dict[str, Any]) -> list[str]:
    """The key=value of a training that sees, in all, about as many rays as one process did in the run's steps."""
    steps = max(experiment.system.warmup_steps + 1, round(run["steps"] / run["rays_against_first"]))
    rate = experiment.system.optimizer.args.lr * run["processes"] ** 0.5
    return [f"trainer.max_steps={steps}", f"system.optimizer.args.lr={rate:.5g}"]


def train(config: Sequence[str], overrides: Sequence[str], gpu: str, folder: Path) -> dict[str, Any]:
    """One training by launch.py. Returns what it measured. Raises ConfigError where it ends in an error."""
    command = [sys.executable, str(ROOT / "launch.py"), "--config", *config, "--train", "--gpu", gpu, *overrides]
    command += ["--exp_dir", str(folder / "exp"), "--runs_dir", str(folder / "runs"), "export.report=false"]
    command += ["name=processes", "trial_name=run", "trainer.enable_progress_bar=false"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise ConfigError(f"--gpus {gpu}: launch.py ended with code {done.returncode}: {told}")
    run = folder / "exp/processes/run"
    found = json.loads((run / "save/metrics.json").read_text(encoding="utf-8"))
    kept = ("psnr", "ssim", "train_seconds", "steps", "processes", "peak_gpu_memory_mib")
    return {"gpu": gpu, **{key: found[key] for key in kept if key in found}, "rays_per_s": steady_rays(run)}


def steady_rays(run: Path) -> float:
    """Rays a second, of all processes: the median over the logging steps of the later part of a run."""
    with next(run.glob("csv_logs/**/metrics.csv")).open(encoding="utf-8", newline="") as file:
        rows = [(int(row["step"]), row.get("perf/rays_per_s")) for row in csv.DictReader(file)]
    rates = [(step, float(rate)) for step, rate in rows if rate]
    last = max(step for step, _ in rates)
    return float(np.median([rate for step, rate in rates if step >= STEADY * last]))


def work(argv: list[str]) -> int:
    """Runs the benchmark."""
    args = common.parse_with_overrides(make_parser(), argv)
    overrides = [*(QUICK if args.quick else []), *args.overrides]
    experiment = read_experiment(args.config, overrides)
    device, config = common.chosen_device(args.device), schema.to_dict(experiment)
    result = common.Result("processes", f"processes-{experiment.name}", device, args, argv, config=config)
    runs: list[dict[str, Any]] = []

    def run(gpu: str, more: list[str]) -> dict[str, Any]:
        common.progress(" ".join([f"--gpu {gpu}", *more]))
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            runs.append(train(args.config, [*overrides, *more], gpu, Path(folder)))
        runs[-1] |= {"overrides": more, "rays_against_first": runs[-1]["rays_per_s"] / runs[0]["rays_per_s"]}
        result.write(runs=runs)
        return runs[-1]

    for gpu in args.gpus:
        found = run(gpu, [])
        if args.fewer_steps and found["processes"] > 1:
            run(gpu, fewer_steps(experiment, found))
    print(result.path)
    return 0


if __name__ == "__main__":
    sys.exit(common.run_command(work))
