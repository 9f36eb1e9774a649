"""What a run loses when something strikes it: faults at random moments, and whether it goes on to the same weights.

    python -m benchmarks.faults

On a CPU with one thread, where the whole run and one that was struck can be compared to the bit."""

import json
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks import common, pairs, striking
from benchmarks.common import Result, progress
from benchmarks.striking import Child, End
from benchmarks.tables import Json, table
from utils.files import replacing
from utils.registry import ROOT

DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: written by python -m benchmarks.faults -->", "<!-- end of faults -->"
STEPS, EVERY = 60, 5  # of a run, and between two of its checkpoints
SETTINGS = [
    *(f"trainer.max_steps={STEPS}", f"checkpoint.every_n_train_steps={EVERY}", "trainer.log_every_n_steps=4"),
    *("trainer.val_check_interval=30", "trainer.enable_progress_bar=false", "system.warmup_steps=10"),
    *("dataset.img_wh=[24,24]", "dataset.gt_mesh=null", "export.report=false"),
    *("model.num_samples_per_ray=32", "model.train_num_rays=32", "model.max_train_num_rays=128"),
    *("model.grid_resolution=16", "model.geometry.isosurface.resolution=24"),
    *("model.geometry.xyz_encoding_config.n_levels=4", "model.geometry.xyz_encoding_config.log2_hashmap_size=10"),
]


@dataclass(frozen=True)
class Strike:
    """What came of one fault."""

    lost: int  # steps that were done again
    is_as_expected: bool
    is_same: bool  # ends in the weights of the whole run


@dataclass(frozen=True)
class Fault:
    """Something that happens to a run, and what shall come of it."""

    name: str
    expected: str
    strike: Callable[["Bench"], Strike]
    times: int
    is_repeatable: bool = True  # otherwise other weights are meant to come of it
    is_quick: bool = True  # a few seconds; otherwise --quick leaves it out

    def to_json(self, strikes: Sequence[Strike]) -> Json:
        """Its figures."""
        lost = [strike.lost for strike in strikes]
        return {
            "fault": self.name,
            "times": len(strikes),
            "lost_median": statistics.median(lost),
            "lost_most": max(lost),
            "expected": self.expected,
            "as_expected": sum(strike.is_as_expected for strike in strikes),
            "same_weights": sum(strike.is_same for strike in strikes) if self.is_repeatable else None,
        }


class Bench:
    """A scene, a folder for each run, and the weights of a run that nothing struck."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.draw, self._number = folder, random.Random(seed), 0
        self.scene = folder / "scene"
        shutil.copytree(ROOT / "load" / "spot", self.scene)
        for _ in range(2):  # the first one compiles what the CPU runs
            self.begin()
            started = time.perf_counter()
            end = self.start().wait()
            self.seconds = time.perf_counter() - started
            assert end.code == 0, end.said
        metrics = json.loads((self.run / "save" / "metrics.json").read_text(encoding="utf-8"))
        self.training = metrics["train_seconds"]
        self.whole = striking.final_weights(self.run, STEPS)

    def begin(self) -> None:
        """A new run from here on."""
        self._number += 1
        self.out = self.folder / str(self._number)
        self.out.mkdir()

    @property
    def run(self) -> Path | None:
        """The folder of the run that was begun last; None until it exists."""
        return next((path.parent.parent for path in self.out.glob("exp/*/*/config/parsed.yaml")), None)

    def start(self, hook: striking.Hook | None = None) -> Child:
        """The run from its beginning."""
        return Child([*self.beginning(), "--gpu", "cpu"], hook)

    def beginning(self) -> list[str]:
        """The command line of the run, without its devices."""
        flags = ["--exp_dir", str(self.out / "exp"), "--runs_dir", str(self.out / "runs")]
        return ["--config", "configs/neus-demo.yaml", "--train", *flags, f"dataset.root_dir={self.scene}", *SETTINGS]

    def resume(self, hook: striking.Hook | None = None) -> Child:
        """The run where it was; from its beginning where there is no folder of it yet."""
        if self.run is None:
            return self.start(hook)
        return Child([*self.going_on(), "--gpu", "cpu"], hook)

    def going_on(self) -> list[str]:
        """The command line that goes on with it."""
        return ["--resume", str(self.run), "--train", "--runs_dir", str(self.out / "runs")]

    def is_same(self) -> bool:
        """Whether the run has ended in the weights of the whole one."""
        return striking.same(striking.final_weights(self.run, STEPS), self.whole)

    def a_step(self) -> int:
        """A random step in the middle of a run."""
        return self.draw.randrange(EVERY + 1, STEPS - EVERY)


def lost_steps(before: End, after: End) -> int:
    """Steps that were done twice; none where the training was over."""
    return 0 if after.first < 0 else before.done - after.first


def killed(bench: Bench) -> Strike:
    """kill -9 at any moment, from the start of the command to the end of the test pass."""
    while (before := bench.start().strike(signal.SIGKILL, bench.draw.uniform(0.0, bench.seconds))).code != 137:
        bench.begin()  # it had come to its end by then
    after = bench.resume().wait()
    return Strike(lost_steps(before, after), after.code == 0, bench.is_same())


def killed_in_training(bench: Bench) -> Strike:
    """kill -9 at any moment of the steps and the checkpoints between them."""
    wait = bench.draw.uniform(0.0, 2.0 * bench.training / STEPS)
    while (before := bench.start().strike_at(signal.SIGKILL, bench.draw.randrange(STEPS), wait)).code != 137:
        bench.begin()
    after = bench.resume().wait()
    return Strike(lost_steps(before, after), after.code == 0, bench.is_same())


def stopped(signum: int, bench: Bench) -> Strike:
    """A signal that asks the process to end, in the middle of the training."""
    before = bench.start().strike_at(signum, bench.a_step())
    after = bench.resume().wait()
    told = before.code == 128 + signum and "Go on with: python launch.py --resume" in before.said
    return Strike(before.done + 1 - after.first, told and after.code == 0, bench.is_same())


def damaged(is_cut: bool, bench: Bench) -> Strike:
    """The newest checkpoint is not what was written."""
    bench.start().strike_at(signal.SIGKILL, 2 * EVERY + 2)
    newest = striking.checkpoints_in(bench.run)[0].name
    striking.damage(bench.run, bench.draw, is_cut)
    after = bench.resume().wait()
    told = f"{newest}: not a readable checkpoint" in after.said and after.first == EVERY
    return Strike(2 * EVERY - after.first, told and after.code == 0, bench.is_same())


def full_disk(bench: Bench) -> Strike:
    """The system refuses to let files grow, for ten steps and the two checkpoints that fall into them."""
    first = bench.a_step() // EVERY * EVERY - 3
    end = bench.start(striking.full_disk_between(first, first + 2 * EVERY)).wait()
    return Strike(0, end.code == 0 and "the checkpoint cannot be written" in end.said, bench.is_same())


def file_gone(bench: Bench) -> Strike:
    """A photograph is missing when the run goes on, and there again later."""
    before = bench.start().strike_at(signal.SIGTERM, bench.a_step())
    image = bench.draw.choice(sorted(bench.scene.glob("train/*.png")))
    with striking.vanished(image):
        refused = bench.resume().wait()
    after = bench.resume().wait()
    told = refused.code == 2 and image.stem in refused.said and "Traceback" not in refused.said
    return Strike(before.done + 1 - after.first, told and after.code == 0, bench.is_same())


def injected(harm: Callable[[int], striking.Hook], words: str, bench: Bench) -> Strike:
    """A parameter becomes NaN, or memory runs out, before a step."""
    end = bench.start(harm(bench.a_step())).wait()
    finite = all(torch.isfinite(value).all() for value in striking.final_weights(bench.run, STEPS).values())
    return Strike(end.repeated, end.code == 0 and words in end.said and finite, False)


def one_of_two(bench: Bench) -> Strike:
    """kill -9 of one of two processes that train together."""
    return Strike(*pairs.lose_one_of_two(bench, STEPS))


FAULTS = (
    Fault("kill -9 at any moment of the command", "`--resume` goes on", killed, 50),
    Fault("kill -9 at any moment of the training", "`--resume` goes on", killed_in_training, 50),
    Fault(
        "SIGTERM (Slurm, pre-emption)",
        "saved, exit code 143, `--resume` goes on",
        partial(stopped, signal.SIGTERM),
        10,
    ),
    Fault("Ctrl-C", "saved, exit code 130, `--resume` goes on", partial(stopped, signal.SIGINT), 10),
    Fault("kill -9 of one of two processes", "all end; `--resume` with two goes on", one_of_two, 5, is_quick=False),
    Fault("newest checkpoint cut off", "recognised, the one before is used", partial(damaged, True), 10),
    Fault("one bit of it flipped", "recognised, the one before is used", partial(damaged, False), 10),
    Fault("full disk during two checkpoints", "said; the training goes on and saves the next one", full_disk, 10),
    Fault("a photograph gone at resume", "named, exit code 2; once it is back `--resume` goes on", file_gone, 10),
    Fault(
        "NaN in a parameter",
        "back to the last good state, with other rays",
        partial(injected, striking.poison_at, "NaN or infinity"),
        10,
        is_repeatable=False,
    ),
    Fault(
        "out of memory",
        "half of the sample budget, from the last checkpoint",
        partial(injected, striking.exhaust_at, "out of memory"),
        10,
        is_repeatable=False,
    ),
)


def kept_rows(folder: Path) -> list[Json]:
    """The row of each fault from the results in a folder, of which a run that was cut short leaves some."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("faults*.json"))]
    found = {row["fault"]: row for result in results for row in result["rows"]}
    return [found[fault.name] for fault in FAULTS if fault.name in found]


def fault_table(kept: Sequence[Json]) -> str:
    """The table of the document."""
    head = ["fault", "times", "steps lost, median", "at most", "what happens", "as said", "same weights"]
    rows = [
        [
            *(row["fault"], str(row["times"]), f"{row['lost_median']:g}", str(row["lost_most"]), row["expected"]),
            f"{row['as_expected']} of {row['times']}",
            "–" if row["same_weights"] is None else f"{row['same_weights']} of {row['times']}",
        ]
        for row in kept
    ]
    return table(head, rows)


def with_table(text: str, kept: Sequence[Json]) -> str:
    """The document with the table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{fault_table(kept)}\n{END}{rest.partition(END)[2]}"


def work(argv: list[str]) -> int:
    """Strikes each fault, writes the JSON and, where it is kept, the table of docs/reliability.md."""
    parser = common.Parser("faults", "What a run loses when something strikes it, on a CPU.")
    parser.add_argument("--seed", type=common.whole_number(0), default=0, help="of the random moments (default: 0)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    settings = {"steps": STEPS, "checkpoint_every": EVERY, "settings": SETTINGS}
    result, rows = Result("faults", "faults", torch.device("cpu"), args, argv, **settings), []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        bench = Bench(Path(folder), args.seed)
        for fault in (fault for fault in FAULTS if fault.is_quick or not args.quick):
            strikes = []
            for _ in range(1 if args.quick else fault.times):
                bench.begin()
                strikes.append(fault.strike(bench))
            row = fault.to_json(strikes)
            said = f"{row['as_expected']} of {row['times']} as expected"
            progress(f"{fault.name}: {said}, {row['lost_most']} steps lost at most")
            rows.append(row)
            result.write(rows=rows)
    if not args.quick:
        text = with_table(DOCUMENT.read_text(encoding="utf-8"), kept_rows(result.path.parent))
        with replacing(DOCUMENT) as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(result.path)
    return 0 if all(row["as_expected"] == row["times"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(common.run_command(work))
