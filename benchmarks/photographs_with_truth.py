"""Judges training levers on photographs with truth: scenes by levers by seeds as one table.

    python -m benchmarks.photographs_with_truth --work WORK photo/handheld_drill gt/bunny_plain --levers none high

A folder is a scene of configs/sweeps/truth.yaml by its name: a set of photographs as benchmarks.captures knows it, a
dataset with gt_mesh.ply in the frame of its cameras, or one without truth, of which held-out views are all."""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import common
from benchmarks.common import Result, progress
from benchmarks.truth.errors import draw_errors
from benchmarks.truth.preparation import Prepared, needs_preparing, prepared_set
from benchmarks.truth.table import rows_of, table_of
from systems.runs import find_mesh
from systems.sweep.execution import run_tasks
from systems.sweep.plan import Overrides, Scenes, Sweep, Task, make_tasks, read_sweep
from systems.sweep.pool import RayPool
from systems.sweep.status import TaskState, TaskStatus, status_of
from utils.errors import ConfigError, DataError
from utils.mesh import transform
from utils.mesh.files import read_mesh
from utils.registry import ROOT

SWEEP = ROOT / "configs" / "sweeps" / "truth.yaml"
QUICK = ("trainer.max_steps=40", "system.warmup_steps=10", "model.geometry.isosurface.resolution=64")
_DENSE = 8  # so many times as many points to measure to: a noise floor below half a per mille, in seconds


@dataclass(frozen=True)
class Place:
    """Where the data of a scene lie, and what is known about its truth."""

    root: Path  # of the dataset
    truth: Path | None  # the true mesh; None: held-out views alone
    prepared: Prepared | None  # what was made of a set, which has cameras of its own; None: a dataset as it is

    @property
    def evaluate(self) -> tuple[str, ...]:
        """The arguments by which scripts/evaluate.py judges the mesh of a run, everything in its file; () for none."""
        moved = ["--pred-transform", str(self.prepared.record)] if self.prepared else []
        return ("mesh", "--gt", str(self.truth), *moved, "--unit-scale", "--dense", str(_DENSE)) if self.truth else ()


def chosen_sweep(args: argparse.Namespace) -> tuple[Sweep, dict[str, Path]]:
    """The sweep with what the command line leaves of it, and the folder of each of its scenes. Raises ConfigError."""
    sweep = read_sweep(args.sweep)
    known = list(sweep.scenes.overrides)
    folders: dict[str, Path] = {}
    for folder in map(Path.resolve, args.folders):
        if folder.name not in known or folder.name in folders:
            raise ConfigError(
                f"{folder}: expected each scene of {args.sweep} at most once, by the name of its folder: "
                f"{', '.join(known)}. Add a line for it there, or rename the folder."
            )
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder.")
        folders[folder.name] = folder
    if unknown := [path for path in args.prepared if path.name not in folders or not path.is_dir()]:
        raise ConfigError(f"--prepared {unknown[0]}: expected a folder with the name of a set that is given as well.")
    if unknown := [lever for lever in args.levers or () if lever not in sweep.variants]:
        raise ConfigError(f"--levers {unknown[0]}: {args.sweep} has {', '.join(sweep.variants)}.")
    if sweep.evaluate:
        raise ConfigError(f"{args.sweep}: evaluate: this benchmark judges by the truth in each folder. Leave it out.")
    variants = {name: lever for name, lever in sweep.variants.items() if name in (args.levers or sweep.variants)}
    name = "-".join([sweep.name, *["true-masks"] * args.true_masks, *["quick"] * args.quick])
    return replace(sweep, name=name, variants=variants, seeds=tuple(args.seeds or ()) or sweep.seeds), folders


def place_of(scene: Path, args: argparse.Namespace) -> Place:
    """Where the data of a scene lie; a set of photographs is prepared first, where it is not yet. Raises DataError."""
    truth = scene / "gt_mesh.ply" if (scene / "gt_mesh.ply").is_file() else None
    if not needs_preparing(scene):
        return Place(scene, truth, None)
    given = next((path for path in args.prepared if path.name == scene.name), None)
    found = prepared_set(scene, args.work / "prepared", given, args.true_masks)
    return Place(found.root, truth if found.similarity is not None else None, found)


def tasks_of(sweep: Sweep, scene: str, place: Place, overrides: Sequence[str], exp_dir: Path) -> list[Task]:
    """The runs of one scene. Raises ConfigError."""
    own = Overrides({"dataset.root_dir": str(place.root)} | sweep.scenes.overrides[scene].values)
    scenes = Scenes({scene: own}, sweep.scenes.configs)
    return make_tasks(replace(sweep, scenes=scenes, evaluate=place.evaluate), overrides, exp_dir)


def places_of(folders: dict[str, Path], args: argparse.Namespace) -> tuple[dict[str, Place], dict[str, str]]:
    """Where the data of each scene lie, and why those of others cannot be had."""
    places, lost = {}, {}
    for name, folder in folders.items():
        progress(f"{name}: preparing" if needs_preparing(folder) else name)
        try:
            places[name] = place_of(folder, args)
        except DataError as error:
            lost[name] = " ".join(str(error).split())
            progress(f"{name}: {lost[name]}")
    return places, lost


def run_left(tasks: Sequence[Task], args: argparse.Namespace) -> tuple[dict[str, TaskStatus], int | None]:
    """Runs what is not done yet; returns the state of all tasks, and the signal that stopped it, if one did."""
    statuses = {task.name: status_of(task) for task in tasks}
    left = [task for task in tasks if statuses[task.name].is_open(args.retry)]
    progress(f"{len(tasks)} runs, {len(left)} of them left")
    if not left:
        return statuses, None
    pool = RayPool(None, 0 if args.device == "cpu" else None, args.jobs)
    return statuses, run_tasks(left, statuses, pool, args.work / "exp", args.work / "runs")


def draw_all(tasks: Sequence[Task], statuses: dict[str, TaskStatus], places: dict[str, Place], folder: Path) -> None:
    """Draws the errors of each finished run that has a truth, unless that is done."""
    for task in tasks:
        place, stem = places[task.scene], folder / task.name
        if statuses[task.name].state is not TaskState.DONE or place.truth is None:
            continue
        path, picture = find_mesh(task.run.path), stem.with_name(f"{stem.name}.png")
        if picture.is_file() and picture.stat().st_mtime >= path.stat().st_mtime:
            continue
        mesh = read_mesh(path)
        mesh = transform(mesh, place.prepared.similarity) if place.prepared else mesh
        progress(f"errors: {draw_errors(mesh, read_mesh(place.truth), stem)[-1]}")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The command line. Raises ConfigError."""
    parser = common.Parser("photographs_with_truth", "Scenes by levers by seeds, judged against the truth.")
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="a scene of the sweep, by its name")
    parser.add_argument("--work", type=Path, required=True, help="keeps what is made; the same command goes on there")
    parser.add_argument("--sweep", type=Path, default=SWEEP, metavar="YAML", help="scenes, levers (variants), seeds")
    parser.add_argument("--levers", nargs="+", metavar="NAME", help="only these levers of the sweep")
    parser.add_argument("--seeds", type=common.whole_number(0), nargs="+", metavar="N", help="in place of the sweep's")
    parser.add_argument(
        "--prepared", type=Path, action="append", default=[], metavar="FOLDER",
        help="what prepare.py made of the set of the same name; may be given several times",
    )  # fmt: skip
    parser.add_argument("--true-masks", action="store_true", help="train sets with gt_mask/ in place of our masks")
    parser.add_argument("--errors", action="store_true", help="also colour each mesh by its distance to the truth")
    parser.add_argument("--jobs", type=common.whole_number(1), metavar="N", help="runs at a time (default: a GPU each)")
    parser.add_argument("--retry", action="store_true", help="run failed runs again")
    args = common.parse_with_overrides(parser, argv)
    if args.device not in (None, "cpu", "cuda"):
        raise ConfigError(f"--device {args.device}: expected cpu or cuda; CUDA_VISIBLE_DEVICES chooses among GPUs.")
    args.work, args.prepared = args.work.resolve(), [path.resolve() for path in args.prepared]
    args.overrides += QUICK if args.quick else ()
    return args


def work(argv: list[str]) -> int:
    """Measures each scene with each lever and seed; returns the exit code: 0 if all is done, 1 if not."""
    args = parse(argv)
    device = common.chosen_device(args.device)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("systems").setLevel(logging.INFO)
    sweep, folders = chosen_sweep(args)
    places, lost = places_of(folders, args)
    exp_dir = args.work / "exp"
    tasks = [task for name, place in places.items() for task in tasks_of(sweep, name, place, args.overrides, exp_dir)]
    statuses, signum = run_left(tasks, args)
    rows = rows_of(tasks, statuses, lost)
    result = Result("photographs_with_truth", f"photographs-{sweep.name}", device, args, argv)
    prepared = {name: place.prepared.figures for name, place in places.items() if place.prepared}
    result.write(true_masks=args.true_masks, prepared=prepared, rows=rows)
    print(table_of(rows))
    print(result.path)
    if args.errors:
        draw_all(tasks, statuses, places, args.work / "errors" / sweep.name)
    if signum is not None:
        return 128 + signum
    return int(bool(lost) or any(status.state is not TaskState.DONE for status in statuses.values()))


if __name__ == "__main__":
    sys.exit(common.run_command(work))
