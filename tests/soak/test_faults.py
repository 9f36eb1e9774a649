"""Strikes real processes of launch.py again and again: each run resumes and ends in the weights of an unharmed one.

On a CPU with one thread, where two runs are equal to the bit."""

import json
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from struck_runs import same, weights

from utils.registry import ROOT

if sys.platform != "linux":
    pytest.skip("forks, reads /proc and limits the size of files: Linux only", allow_module_level=True)

from struck_processes import (
    Child,
    End,
    Hook,
    Pair,
    damage,
    exhaust_at,
    full_disk_between,
    last_step,
    poison_at,
    saved_step,
    vanished,
)

pytestmark = pytest.mark.soak
STEPS, EVERY = 60, 5  # of a run, and between two of its checkpoints
SETTINGS = [
    *(f"trainer.max_steps={STEPS}", f"checkpoint.every_n_train_steps={EVERY}", "trainer.log_every_n_steps=4"),
    *("trainer.val_check_interval=30", "trainer.enable_progress_bar=false", "system.warmup_steps=10"),
    *("dataset.img_wh=[24,24]", "dataset.gt_mesh=null", "export.report=false", "dataset.n_test_traj_steps=1"),
    *("model.num_samples_per_ray=32", "model.train_num_rays=32", "model.max_train_num_rays=128"),
    *("model.grid_resolution=16", "model.geometry.isosurface.resolution=24"),
    *("model.geometry.xyz_encoding_config.n_levels=4", "model.geometry.xyz_encoding_config.log2_hashmap_size=10"),
]
KILLED = 128 + signal.SIGKILL


class Runs:
    """Starts and resumes runs on one scene, each in a folder of its own, and knows the weights of an unharmed one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._number = folder, 0
        self.scene = folder / "scene"
        shutil.copytree(ROOT / "load" / "spot", self.scene)
        for _ in range(2):  # the first one compiles the CPU's kernels
            self.begin()
            started = time.perf_counter()
            end = self.start().wait()
            self.seconds = time.perf_counter() - started
            assert end.code == 0, end.said
        metrics = json.loads((self.run / "save" / "metrics.json").read_text(encoding="utf-8"))
        self.train_seconds = metrics["train_seconds"]
        self.unharmed = weights(self.run, STEPS)

    def begin(self) -> None:
        """Gives the next run an empty folder."""
        self._number += 1
        self.out = self.folder / str(self._number)
        self.out.mkdir()

    @property
    def run(self) -> Path | None:
        """The folder of the current run; None until it exists."""
        return next((path.parent.parent for path in self.out.glob("exp/*/*/config/parsed.yaml")), None)

    def to_start(self) -> list[str]:
        """The arguments that start the run, without --gpu."""
        flags = ["--exp_dir", str(self.out / "exp"), "--runs_dir", str(self.out / "runs")]
        return ["--config", "configs/neus-demo.yaml", "--train", *flags, f"dataset.root_dir={self.scene}", *SETTINGS]

    def to_resume(self) -> list[str]:
        """The arguments that resume the run, or start it if nothing of it is on disk; without --gpu."""
        if self.run is None:
            return self.to_start()
        return ["--resume", str(self.run), "--train", "--runs_dir", str(self.out / "runs")]

    def start(self, hook: Hook | None = None) -> Child:
        return Child([*self.to_start(), "--gpu", "cpu"], hook)

    def resume(self) -> Child:
        return Child([*self.to_resume(), "--gpu", "cpu"])

    def assert_resumes(self, before: End, num_steps: int = EVERY - 1) -> None:
        """The run resumes, repeats `num_steps` steps at most and ends in the unharmed weights."""
        after = self.resume().wait()
        assert after.code == 0, after.said
        if after.first >= 0:  # otherwise the training was over
            assert before.done - after.first <= num_steps
        assert same(weights(self.run, STEPS), self.unharmed)


@pytest.fixture(scope="module")
def all_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Runs(tmp_path_factory.mktemp("faults"))
    torch.set_num_threads(threads)


@pytest.fixture
def runs(all_runs: Runs) -> Iterator[Runs]:
    """Begins a new run, which is removed after the test."""
    all_runs.begin()
    yield all_runs
    shutil.rmtree(all_runs.out)


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> random.Random:
    """Random moments, others in each test."""
    return random.Random(request.node.name)


def any_step(draw: random.Random) -> int:
    """A random step in the middle of a run."""
    return draw.randrange(EVERY + 1, STEPS - EVERY)


def times(num: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("time", range(num))


@times(20)
def test_kill_9_at_any_moment_of_the_command(runs: Runs, draw: random.Random, time: int) -> None:
    while (before := runs.start().strike(signal.SIGKILL, draw.uniform(0.0, runs.seconds))).code != KILLED:
        runs.begin()  # it had ended by then
    runs.assert_resumes(before)


@times(20)
def test_kill_9_at_any_moment_of_the_training(runs: Runs, draw: random.Random, time: int) -> None:
    wait = draw.uniform(0.0, 2.0 * runs.train_seconds / STEPS)
    while (before := runs.start().strike_at(signal.SIGKILL, draw.randrange(STEPS), wait)).code != KILLED:
        runs.begin()
    runs.assert_resumes(before)


@times(5)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_step_it_came_in(runs: Runs, draw: random.Random, signum: int, time: int) -> None:
    before = runs.start().strike_at(signum, any_step(draw))
    assert before.code == 128 + signum
    assert "Go on with: python launch.py --resume" in before.said
    runs.assert_resumes(before, num_steps=-1)  # it goes on with the step after


@times(5)
@pytest.mark.parametrize("is_cut", [True, False])
def test_a_damaged_checkpoint_is_passed_over(runs: Runs, draw: random.Random, is_cut: bool, time: int) -> None:
    runs.start().strike_at(signal.SIGKILL, 2 * EVERY + 2)
    newest = sorted((runs.run / "ckpt").glob("*.ckpt"), key=lambda path: path.stat().st_mtime)[-1].name
    damage(runs.run, draw, is_cut)
    after = runs.resume().wait()
    assert after.code == 0, after.said
    assert f"{newest}: not a readable checkpoint" in after.said
    assert after.first == EVERY
    assert same(weights(runs.run, STEPS), runs.unharmed)


@times(5)
def test_a_full_disk_stops_no_training(runs: Runs, draw: random.Random, time: int) -> None:
    first = any_step(draw) // EVERY * EVERY - 3
    end = runs.start(full_disk_between(first, first + 2 * EVERY)).wait()  # two checkpoints cannot be written
    assert end.code == 0, end.said
    assert "the checkpoint cannot be written" in end.said
    assert same(weights(runs.run, STEPS), runs.unharmed)


@times(5)
def test_a_missing_photograph_is_named(runs: Runs, draw: random.Random, time: int) -> None:
    before = runs.start().strike_at(signal.SIGTERM, any_step(draw))
    image = draw.choice(sorted(runs.scene.glob("train/*.png")))
    with vanished(image):
        refused = runs.resume().wait()
    assert refused.code == 2, refused.said
    assert image.stem in refused.said
    assert "Traceback" not in refused.said
    runs.assert_resumes(before, num_steps=-1)


@times(5)
@pytest.mark.parametrize(("fault", "words"), [(poison_at, "NaN or infinity"), (exhaust_at, "out of memory")])
def test_a_training_recovers_by_itself(runs: Runs, draw: random.Random, fault, words: str, time: int) -> None:
    end = runs.start(fault(any_step(draw))).wait()
    assert end.code == 0, end.said
    assert words in end.said
    assert end.repeated <= EVERY
    assert all(torch.isfinite(value).all() for value in weights(runs.run, STEPS).values())


@pytest.fixture(scope="module")
def unharmed_pair(all_runs: Runs) -> dict[str, torch.Tensor]:
    """The weights of a run of two processes that nothing struck."""
    all_runs.begin()
    end = Pair(all_runs.to_start()).wait()
    assert end.code == 0, end.said
    return weights(all_runs.run, STEPS)


@times(5)
def test_the_loss_of_one_of_two_processes_ends_both(unharmed_pair, runs: Runs, draw: random.Random, time: int) -> None:
    while (before := Pair(runs.to_start()).lose_one(runs.out, draw, 0.5 * runs.train_seconds)).code == 0:
        runs.begin()
    assert before.code in (2, KILLED), before.said
    assert last_step(runs.run) - saved_step(runs.run) <= EVERY
    after = Pair(runs.to_resume()).wait()
    assert after.code == 0, after.said
    assert same(weights(runs.run, STEPS), unharmed_pair)
