"""Times whole commands by stage, from the first to the last line, with cold and warm caches, beside other checkouts.

    python -m benchmarks.clock.whole --demo --lego SCENES/lego --capture OUT --before ../older --predecessor ../nsr

Runs of the checkouts take turns. Cold: new folders for all that is compiled, and, for root, nothing of the disk in
memory; warm runs find what the last cold one compiled, and with --cold 0 what the user's own folders hold. key=value
pairs go to every run."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.clock import runs
from benchmarks.clock.runs import PREDECESSOR, STAGES, Task, Tree, fresh_caches, run_task
from utils.errors import ConfigError, DataError
from utils.registry import ROOT

BLENDER = "configs/neus-blender.yaml"
QUICK = ("trainer.max_steps=4", "system.warmup_steps=2", "dataset.img_wh=[32,32]", "model.num_samples_per_ray=32")
QUICK += ("model.grid_resolution=16", "model.geometry.isosurface.resolution=24", "dataset.n_test_traj_steps=0")
QUICK += ("dataset.gt_mesh=null",)  # a comparison with what is far away takes minutes


def make_parser() -> common.Parser:
    """The flags of the command line; key=value overrides are taken off before."""
    parser = common.Parser("clock.whole", "Times whole commands by stage; key=value pairs override the YAML.")
    parser.add_argument("--demo", action="store_true", help="the bundled scene, on the CPU")
    parser.add_argument("--lego", type=Path, metavar="DIR", help="the scene of NeRF-Synthetic")
    parser.add_argument("--armadillo", type=Path, metavar="DIR", help="another scene in that layout")
    parser.add_argument("--capture", type=Path, metavar="DIR", help="photographs that scripts/prepare.py prepared")
    number = common.whole_number
    parser.add_argument("--runs", type=number(1), default=3, help="warm runs of each (default: 3)")
    parser.add_argument("--cold", type=number(0), default=1, help="cold runs of each, before (default: 1)")
    parser.add_argument("--before", type=Path, metavar="DIR", help="another checkout of this project")
    parser.add_argument("--predecessor", type=Path, metavar="DIR", help="a checkout of instant-nsr-pl")
    return parser


def tasks_of(given: dict[str, Any]) -> list[Task]:
    """What is timed. given: the flags. Raises ConfigError without any, DataError for a folder that is not there."""
    tasks = [Task("demo", "configs/neus-demo.yaml", on_cpu=True)] if given["demo"] else []
    for name in (name for name in ("lego", "armadillo", "capture") if given[name]):
        if not given[name].is_dir():
            raise DataError(f"--{name} {given[name]}: expected a folder with a data set, got none.")
        root = f"dataset.root_dir={given[name].resolve()}"
        if name == "capture":
            tasks.append(Task(name, "configs/neus-capture.yaml", (root,)))
        else:
            tasks.append(Task(name, BLENDER, (f"dataset.scene={name}", root), of_predecessor=True))
    if not tasks:
        raise ConfigError("command line: nothing to time. Give --demo, --lego DIR, --armadillo DIR or --capture DIR.")
    return tasks


def trees_of(given: dict[str, Any]) -> list[Tree]:
    """This checkout, and those that are given. Raises DataError for one without launch.py."""
    others = [Tree(name, given[name].resolve()) for name in ("before", PREDECESSOR) if given[name]]
    return [Tree("this", ROOT), *others]


def row_of(tree: Tree, task: Task, cache: str, done: list[dict[str, Any]]) -> dict[str, Any]:
    """All runs of a checkout on one task, with the spread of each stage."""
    good = [run["seconds"] for run in done if "seconds" in run]
    known = [stage for stage in STAGES if any(stage in seconds for seconds in good)]
    spreads = {stage: common.spread([seconds[stage] for seconds in good if stage in seconds]) for stage in known}
    return {"task": task.name, "tree": tree.name, "cache": cache, "seconds": spreads, "runs": done}


class Measurement:
    """The runs so far, in turns of the checkouts."""

    def __init__(self, trees: list[Tree], gpu: str, overrides: list[str], work: Path, drops: bool) -> None:
        """work: folder for what runs leave; drops: whether cold runs ask the system to forget what it read."""
        self._trees, self._gpu, self._overrides, self._work, self._drops = trees, gpu, overrides, work, drops
        self.dropped: bool | None = None  # whether the system did each time; None: it was never asked
        self._done: dict[tuple[Tree, Task, str], list[dict[str, Any]]] = {}
        self._caches: dict[tuple[Tree, Task], dict[str, str]] = {}

    def take_turns(self, task: Task, cache: str, turn: int) -> None:
        """One run of each checkout that has the task; every second turn goes backwards."""
        trees = [tree for tree in self._trees if tree.name != PREDECESSOR or task.of_predecessor]
        for tree in trees if turn % 2 == 0 else reversed(trees):
            name = f"{task.name}-{tree.name}-{cache}-{turn}"
            common.progress(name)
            if cache == "cold":
                self._caches[tree, task] = fresh_caches(self._work / f"{name}-caches")
                if self._drops:
                    self.dropped = runs.drop_page_cache() and self.dropped is not False
            with tempfile.TemporaryDirectory(prefix="run-", dir=self._work) as folder:
                known = self._caches.get((tree, task), {})
                found = run_task(tree, task, self._gpu, Path(folder) / "run", self._overrides, known)
            self._done.setdefault((tree, task, cache), []).append(found)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """See `row_of`."""
        return [row_of(*key, done) for key, done in self._done.items()]

    @property
    def failures(self) -> list[str]:
        """What failed, and why."""
        told = [(row, run["failed"]) for row in self.rows for run in row["runs"] if "failed" in run]
        return [f"{row['task']} of {row['tree']}, {row['cache']}: {why}" for row, why in told]


def work(argv: list[str]) -> int:
    """Runs the benchmark. Raises DataError at its end if a run failed."""
    args = common.parse_with_overrides(make_parser(), argv)
    tasks, trees, device = tasks_of(vars(args)), trees_of(vars(args)), common.chosen_device(args.device)
    result = common.Result("clock.whole", "whole-clock", device, args, argv)
    commits = {tree.name: tree.commit for tree in trees}
    gpu = "cpu" if device.type == "cpu" else str(device.index or 0)
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as folder:
        overrides = [*(QUICK if args.quick else ()), *args.overrides]
        measured = Measurement(trees, gpu, overrides, Path(folder), drops=not args.quick)
        for task in tasks:
            for cache, turns in (("cold", args.cold), ("warm", args.runs)):
                for turn in range(turns):
                    measured.take_turns(task, cache, turn)
                    told = {"page_cache_dropped": measured.dropped, "rows": measured.rows}
                    result.write(commits=commits, overrides=overrides, **told)
    print(result.path)
    if measured.failures:
        raise DataError(f"runs failed; {result.path} has the others: {'; '.join(measured.failures)}")
    return 0


if __name__ == "__main__":
    sys.exit(common.run_command(work))
