"""Trains many scenes with many variants, one task for each GPU: sweep.py SWEEP.yaml [flags] [key=value ...]"""

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a file, Python looks in scripts/ only

from systems.runs import written_under
from systems.sweep.execution import Execution
from systems.sweep.plan import Sweep, Task, make_tasks, read_sweep
from systems.sweep.pool import RayPool
from systems.sweep.results import Row, make_table, row_of, write_results
from systems.sweep.standing import Standing, State, commands, standing_of
from utils.errors import InputError
from utils.interrupts import Interrupts, Stopped
from utils.text_table import table

log = logging.getLogger("photosurf")


def make_parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sweep", type=Path, metavar="SWEEP.yaml", help="such as configs/sweeps/nerf_synthetic.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of all tasks; {scene} is its name")
    parser.add_argument("--name", help="in place of the one in the YAML: other folders")
    parser.add_argument("--dry_run", action="store_true", help="say what would be done")
    parser.add_argument("--retry", action="store_true", help="run those again that failed")
    parser.add_argument("--gpus", type=int, metavar="N", help="to use at most (default: all; 0: the CPU)")
    parser.add_argument("--jobs", type=int, metavar="N", help="tasks at a time (default: one for each GPU, or one)")
    parser.add_argument("--address", help="of a Ray cluster that shares these folders (default: this machine alone)")
    parser.add_argument("--exp_dir", type=Path, default=Path("exp"), help="where results go (default: exp)")
    parser.add_argument("--runs_dir", type=Path, default=Path("runs"), help="where TensorBoard logs go (default: runs)")
    return parser


def plan_of(tasks: Sequence[Task], standings: dict[str, Standing], args: argparse.Namespace) -> str:
    """What each task would come to: its state, and the commands or what is in their way."""
    gpu, blocks = "cpu" if args.gpus == 0 else "0", []
    for task in tasks:
        standing = standings[task.name]
        found = commands(task, gpu, args.exp_dir, args.runs_dir) if standing.is_open(args.retry) else []
        told = [standing.reason] if standing.reason else []
        blocks.append("\n    ".join([f"{task.name}: {standing.state}", *told, *map(shlex.join, found)]))
    return "\n".join(blocks)


def carry_out(sweep: Sweep, tasks: Sequence[Task], args: argparse.Namespace) -> int:
    """Runs what is left of the tasks and tells of all; returns the exit code, see `main`."""
    standings = {task.name: standing_of(task) for task in tasks}
    if args.dry_run:
        print(plan_of(tasks, standings, args))
        return 0
    left = [task for task in tasks if standings[task.name].is_open(args.retry)]
    done = sum(standing.state is State.DONE for standing in standings.values())
    log.info("%s: %d tasks, %d done, %d to run", sweep.name, len(tasks), done, len(left))
    for task in tasks:
        if task not in left and (reason := standings[task.name].reason):
            log.info("%s %s: %s", standings[task.name].state, task.name, reason)
    signum = run_left(left, standings, args) if left else None
    show_results(sweep.name, [row_of(task, standings[task.name]) for task in tasks], args.exp_dir / sweep.name)
    if signum is not None:
        return 128 + signum
    return int(any(standing.state is not State.DONE for standing in standings.values()))


def run_left(left: Sequence[Task], standings: dict[str, Standing], args: argparse.Namespace) -> int | None:
    """Runs tasks and changes their standings; returns the signal that put an end to it, if one did."""
    pool, interrupts = RayPool(args.address, args.gpus, args.jobs), Interrupts()
    try:
        log.info("on %s, %d at a time", "GPUs" if pool.on_gpu else "the CPU", pool.slots)
        with interrupts:
            interrupts.keep()  # Ray has put a handler of its own in front
            Execution(pool, args.exp_dir, args.runs_dir, interrupts).run(left, standings)
    except Stopped as stop:  # the second signal
        return stop.signum
    finally:
        pool.close()
    return interrupts.received


def show_results(name: str, rows: Sequence[Row], folder: Path) -> None:
    """Writes the files of a sweep and prints its table."""
    with written_under(folder, "--exp_dir"):
        paths = write_results(name, folder, rows)
    heads, lines = make_table(rows)
    print(table([heads, *([line.name, *line.cells] for line in lines)]))
    print(f"results: {paths[0]}, {', '.join(path.name for path in paths[1:])}")


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns its exit code: 1 where tasks are not done, 2 for input that must be mended, 130
    and 143 after Ctrl-C and SIGTERM."""
    args = make_parser().parse_intermixed_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    for name in ("photosurf", "systems", "utils"):
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        for flag, least in (("gpus", 0), ("jobs", 1)):
            value = getattr(args, flag)
            if value is not None and value < least:
                raise InputError(f"--{flag} {value}: expected {least} or more.")
        sweep = read_sweep(args.sweep)
        sweep = replace(sweep, name=args.name) if args.name is not None else sweep
        return carry_out(sweep, make_tasks(sweep, args.overrides, args.exp_dir), args)
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
