"""Times a training: seconds to a PSNR, time per step, and what a step launches and waits for.

    python -m benchmarks.train --config configs/neus-blender.yaml dataset.scene=lego --thresholds 32.2 34.1

Each of several runs has a process of its own and the next seed. The clock runs from the first to the last step and
stops for evaluations. The JSON file is rewritten after each part."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import common
from benchmarks.common import Result, progress, rounded
from benchmarks.experiments import train, with_all_levels
from benchmarks.profiling import SETTLE, ProfileWindow
from benchmarks.recorder import Plan, Recorder, evaluation_steps, reached
from benchmarks.sweep import run_sweep
from systems.configs import Experiment, read_experiment
from utils.config import schema
from utils.errors import ConfigError
from utils.registry import ROOT

QUICK_STEPS = 24
PROFILED, PROFILE_END = 100, 800  # steps in the profile, and the step after which it ends


def make_parser() -> common.Parser:
    """The flags of the command line; key=value overrides are taken off before."""
    parser = common.Parser("train", "Times trainings; key=value pairs override the YAML.")
    number = common.whole_number
    parser.add_argument("--config", nargs="+", action="extend", required=True, metavar="YAML")
    parser.add_argument("--runs", type=number(0), default=3, help="trainings, each with the next seed (default: 3)")
    parser.add_argument("--thresholds", type=common.positive_number, nargs="+", default=[], metavar="DB")
    parser.add_argument(
        "--eval_every", type=number(1), nargs="+", default=[1000], metavar="STEP", help="an interval, or several steps"
    )
    parser.add_argument(
        "--eval_views", type=number(1), default=25, help="held-out views of an evaluation before the end"
    )
    parser.add_argument("--profile", action="store_true", help="what 100 steady steps launch and wait for")
    parser.add_argument("--sweep", action="store_true", help="time per step by sample budget and by grid levels")
    parser.add_argument("--time_limit", type=common.positive_number, metavar="S", help="seconds for the whole command")
    return parser


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """Flags, and `overrides` for all key=value. Raises ConfigError for anything else."""
    return common.parse_with_overrides(make_parser(), argv)


def plan_of(experiment: Experiment, args: argparse.Namespace, deadline: float | None) -> Plan:
    """What a run of this command evaluates and when it ends."""
    last = min(experiment.trainer.max_steps, QUICK_STEPS) if args.quick else experiment.trainer.max_steps
    window = max(1, min(100, last // 20))
    points = evaluation_steps(args.eval_every, last)
    return Plan(last, points, 1 if args.quick else args.eval_views, window, min(500, last // 4), deadline)


def one_run(
    experiment: Experiment, args: argparse.Namespace, device: torch.device, deadline: float | None
) -> dict[str, Any]:
    """Trains in this process; the report of the recorder, with the times to the thresholds."""
    recorder = Recorder(plan_of(experiment, args, deadline), device)
    train(experiment, device, [recorder])
    return {"seed": experiment.seed, **recorder.report, "thresholds": reached(recorder.curve, args.thresholds)}


def child_run(args: argparse.Namespace, seed: int, deadline: float | None) -> dict[str, Any] | int:
    """A run in a process of its own, or its exit code where it failed; it says on stderr what it does."""
    command = [sys.executable, "-m", "benchmarks.train", "--config", *args.config, "--runs", "1"]
    command += ["--eval_every", *map(str, args.eval_every), "--eval_views", str(args.eval_views)]
    command += ["--thresholds", *map(str, args.thresholds)] if args.thresholds else []
    command += (["--quick"] if args.quick else []) + (["--device", args.device] if args.device else [])
    if deadline is not None:
        command += ["--time_limit", f"{max(deadline - time.monotonic(), 1.0):.1f}"]
    folders = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        out = Path(folder) / "run.json"
        command += ["--out", str(out), *args.overrides, f"seed={seed}"]
        environment = os.environ | {"PYTHONPATH": folders}
        done = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, env=environment)
        return json.loads(out.read_text(encoding="utf-8"))["runs"][0] if done.returncode == 0 else done.returncode


def medians(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the runs; that of a threshold only where every run reached it."""
    names = (
        "train_seconds",
        "command_to_first_step_seconds",
        "psnr",
        "peak_gpu_allocated_mib",
        "peak_gpu_reserved_mib",
    )
    found = {name: _median([run[name] for run in runs]) for name in names if all(name in run for run in runs)}
    found["ms_per_step"] = _median([run["ms_per_step"]["median"] for run in runs if run["ms_per_step"]])
    found["thresholds"] = []
    for points in zip(*(run["thresholds"] for run in runs), strict=True):
        seconds = [point["seconds"] for point in points]
        reached_by = sum(value is not None for value in seconds)
        median = _median(seconds) if reached_by == len(runs) else None
        found["thresholds"].append({"psnr": points[0]["psnr"], "seconds": median, "reached_by": reached_by})
    return {"runs": len(runs), **found}


def _median(values: Sequence[float]) -> float | None:
    return rounded(float(np.median(values))) if len(values) else None


def profiled_steps(experiment: Experiment, quick: bool) -> tuple[int, int]:
    """The step that a profile begins behind, in the steady part, and the number of its steps. Raises ConfigError."""
    end = min(experiment.trainer.max_steps, QUICK_STEPS if quick else PROFILE_END)
    steps = min(PROFILED, end // 5)
    if end <= 2 * steps + SETTLE:
        raise ConfigError(f"--profile: needs trainer.max_steps of {QUICK_STEPS} or more, got {end}.")
    return (end // steps - 1) * steps, steps


def run_profile(experiment: Experiment, device: torch.device, quick: bool) -> dict[str, Any]:
    """The profile of a training of its own; beside it the time of the same steps in one without the profiler."""
    experiment = with_all_levels(experiment)
    begin, steps = profiled_steps(experiment, quick)
    plain = Recorder(Plan(begin + steps, frozenset(), 0, steps, begin), device)
    train(experiment, device, [plain])
    window = ProfileWindow(begin, steps, device)
    train(experiment, device, [window])
    report = window.report | {"ms_per_step_without_profiler": plain.report["ms_per_step"]["median"]}
    if report["gpu_ms_per_step"] is not None:
        share = report["gpu_ms_per_step"] / report["ms_per_step_without_profiler"]
        report["gpu_busy_share_without_profiler"] = rounded(share)
    return report


def work(argv: list[str]) -> int:
    """Runs all parts that the command line asks for; returns the exit code."""
    args = parse_args(argv)
    experiment = read_experiment(args.config, args.overrides)
    if args.profile:
        profiled_steps(experiment, args.quick)
    device = common.chosen_device(args.device)
    deadline = time.monotonic() + args.time_limit if args.time_limit else None
    config = schema.to_dict(experiment)
    result = Result("train", f"train-{experiment.name}", device, args, argv, config=config)
    runs: list[dict[str, Any]] = []
    for index in range(args.runs):
        if deadline is not None and time.monotonic() > deadline:
            progress(f"time limit: {args.runs - index} runs are left out")
            break
        seeded = replace(experiment, seed=experiment.seed + index)
        if args.runs > 1:
            progress(f"run {index + 1} of {args.runs}, seed {seeded.seed}")
        run = one_run(seeded, args, device, deadline) if args.runs == 1 else child_run(args, seeded.seed, deadline)
        if isinstance(run, int):
            return run
        runs.append(run)
        result.write(runs=runs, median=medians(runs))
    if args.profile:
        result.write(profile=run_profile(experiment, device, args.quick))
    if args.sweep:
        result.write(sweep=run_sweep(args.config, args.overrides, device, args.quick, deadline))
    print(result.path)
    return 0


if __name__ == "__main__":
    sys.exit(common.run_command(work))
