"""Whether the check of poses doubts models that are folded, and no true one: ten sets that are made for it.

    python -m benchmarks.folded_sets

Each set is made anew with other prints and other shares of prints that only one side has."""

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Result, progress
from benchmarks.scenes.folded import FoldedSet, ten_sets, write_set
from datasets.capture.poses.fold_check import PoseCheck, check_poses

UNIQUE = (0.2, 0.4)  # of the prints are on one side only: with fewer, two sides are one and the same
SEEDS, QUICK_SEEDS = 8, 1


def check_set(scene: FoldedSet) -> PoseCheck:
    """What the check says of a set."""
    with tempfile.TemporaryDirectory(prefix="folded-") as folder:
        database = Path(folder) / "database.db"
        model = write_set(scene, database)
        return check_poses(model, database, scene.order, scene.turntable)


def measure(scene: FoldedSet, seeds: Sequence[int]) -> dict[str, Any]:
    """How often a set is doubted, folded and true."""
    made = [replace(scene, seed=scene.seed + 100 * seed, unique=unique) for seed in seeds for unique in UNIQUE]
    folded = [check_set(one) for one in made]
    true = [check_set(one.unfolded()) for one in made]
    return {
        "set": scene.name,
        "photos": sum(map(len, scene.azimuths)),
        "times": len(made),
        "folded_doubted": sum(bool(check.doubts) for check in folded),
        "true_doubted": sum(bool(check.doubts) for check in true),
        "true_warned": sum(bool(check.warnings) for check in true),
        "doubts": list(folded[0].doubts),
    }


def work(argv: list[str]) -> int:
    """Makes and checks the sets; returns the exit code: 1 where a folded one passes or a true one is doubted."""
    parser = common.Parser("folded_sets", "Whether the check of poses doubts folded models, and no true one.")
    args = parser.parse_args(argv)
    result = Result("folded_sets", "folded-sets", common.chosen_device("cpu"), args, argv)
    rows = []
    for scene in ten_sets():
        progress(scene.name)
        rows.append(measure(scene, range(QUICK_SEEDS if args.quick else SEEDS)))
        result.write(rows=rows)
    print(result.path)
    return int(any(row["folded_doubted"] < row["times"] or row["true_doubted"] for row in rows))


if __name__ == "__main__":
    sys.exit(common.run_command(work))
