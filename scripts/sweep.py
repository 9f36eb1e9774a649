"""Trains many scenes with many variants, one task at a time on each GPU, and tabulates the results.

Example: python scripts/sweep.py configs/sweeps/nerf_synthetic.yaml --dry_run"""

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

import utils.terminal.installed  # noqa: F401  first of all: it tells which packages are missing

# isort: split
from scripts.command_line import exit_code_of, make_parser
from systems.runs import written_under
from systems.sweep.execution import run_tasks
from systems.sweep.plan import Sweep, Task, make_tasks, read_sweep
from systems.sweep.pool import RayPool
from systems.sweep.results import TaskResult, result_of, results_table, write_results
from systems.sweep.status import TaskState, TaskStatus, commands, status_of
from utils.errors import InputError
from utils.files import require_place
from utils.interrupts import exit_code_of as exit_code_of_signal
from utils.terminal.numbers import counted
from utils.terminal.text_table import format_table

log = logging.getLogger("photosurf")


def sweep_parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("sweep", type=Path, metavar="SWEEP.yaml", help="scenes, variants and seeds to train")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings for all tasks; {scene} stands for the scene's name"
    )
    parser.add_argument("--name", help="name of the sweep and its folder, instead of that in the YAML")
    parser.add_argument("--dry_run", action="store_true", help="print what would be run, and run nothing")
    parser.add_argument("--retry", action="store_true", help="run failed tasks again")
    parser.add_argument("--gpus", type=int, metavar="N", help="use at most N GPUs (default: all; 0: the CPU)")
    parser.add_argument("--jobs", type=int, metavar="N", help="run N tasks at a time (default: one per GPU, or one)")
    parser.add_argument("--address", help="address of a Ray cluster that shares these folders (default: this machine)")
    parser.add_argument("--exp_dir", type=Path, default=Path("exp"), help="where results go (default: exp)")
    parser.add_argument("--runs_dir", type=Path, default=Path("runs"), help="where TensorBoard logs go (default: runs)")
    return parser


def describe_plan(tasks: Sequence[Task], statuses: dict[str, TaskStatus], args: argparse.Namespace) -> str:
    """For each task its state, and the commands that would run or the reason why none does."""
    gpu, blocks = "cpu" if args.gpus == 0 else "0", []
    for task in tasks:
        status = statuses[task.name]
        left = commands(task, gpu, args.exp_dir, args.runs_dir) if status.is_open(args.retry) else []
        reasons = [status.reason] if status.reason else []
        blocks.append("\n    ".join([f"{task.name}: {status.state}", *reasons, *map(shlex.join, left)]))
    return "\n".join(blocks)


def run_sweep(sweep: Sweep, tasks: Sequence[Task], args: argparse.Namespace) -> int:
    """Runs the tasks that are left and shows the results of all; returns the exit code, see `main`."""
    statuses = {task.name: status_of(task) for task in tasks}
    if args.dry_run:
        print(describe_plan(tasks, statuses, args))
        return 0
    left = [task for task in tasks if statuses[task.name].is_open(args.retry)]
    done = sum(status.state is TaskState.DONE for status in statuses.values())
    log.info("%s: %s, %d done, %d to run", sweep.name, counted(len(tasks), "task"), done, len(left))
    for task in tasks:
        if task not in left and (reason := statuses[task.name].reason):
            log.info("%s %s: %s", statuses[task.name].state, task.name, reason)
    signum = None
    if left:
        pool = RayPool(args.address, args.gpus, args.jobs)
        signum = run_tasks(left, statuses, pool, args.exp_dir, args.runs_dir)
    show_results(sweep.name, [result_of(task, statuses[task.name]) for task in tasks], args.exp_dir / sweep.name)
    if signum is not None:
        return exit_code_of_signal(signum)
    return int(any(status.state is not TaskState.DONE for status in statuses.values()))


def show_results(name: str, results: Sequence[TaskResult], folder: Path) -> None:
    """Writes the files of a sweep and prints its table."""
    with written_under(folder, "--exp_dir"):
        paths = write_results(name, folder, results)
    heads, rows = results_table(results)
    print(format_table([heads, *([row.name, *row.cells] for row in rows)]))
    print(f"results: {paths[0]}, {', '.join(path.name for path in paths[1:])}")


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0 if all tasks are done, 1 if some are not, 2 for bad input, 130
    after Ctrl-C, 143 after SIGTERM."""
    args = sweep_parser().parse_intermixed_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    for name in ("photosurf", "systems", "utils"):
        logging.getLogger(name).setLevel(logging.INFO)
    return exit_code_of(lambda: plan_and_run(args))


def plan_and_run(args: argparse.Namespace) -> int:
    """Reads the sweep and runs it; returns the exit code, see `main`. Raises InputError."""
    for flag, low in (("gpus", 0), ("jobs", 1)):
        value = getattr(args, flag)
        if value is not None and value < low:
            raise InputError(f"--{flag} {value}: expected {low} or more. Leave it out for the default.")
    for flag in () if args.dry_run else ("exp_dir", "runs_dir"):
        require_place(getattr(args, flag), f"--{flag} {getattr(args, flag)}")
    sweep = read_sweep(args.sweep)
    sweep = replace(sweep, name=args.name) if args.name is not None else sweep
    log.info("%s: read, its tasks are planned", sweep.name)
    return run_sweep(sweep, make_tasks(sweep, args.overrides, args.exp_dir), args)


if __name__ == "__main__":
    sys.exit(main())
