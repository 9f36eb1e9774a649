"""Whole commands of several checkouts, timed from outside and by what they tell; checkouts are short scripts."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.clock import runs, whole
from benchmarks.clock.runs import LATER, START, Task, Tree, Wall, seconds_of
from benchmarks.report import report
from utils.errors import DataError
from utils.registry import ROOT

NO_FLOORS = json.loads((ROOT / "benchmarks/floors.json").read_text(encoding="utf-8"))
TOLD = {"start_seconds": {**dict.fromkeys(START, 0.25), "total": 2.0}, "psnr": 31.5, "train_seconds": 4.0}
WHOLE = TOLD | {"stage_seconds": {**dict.fromkeys(LATER, 0.5), "total": 0.0}}
SCRIPT = """
import json, os, sys, time
from pathlib import Path
values = sys.argv[1:]
save = Path(values[values.index("--exp_dir") + 1]) / "name" / "trial" / "save"
save.mkdir(parents=True)
metrics = {metrics}
if metrics is not None:
    (save / "metrics.json").write_text(json.dumps(metrics))
with open("calls.txt", "a") as file:
    print(os.environ["TRITON_CACHE_DIR"], *values, file=file)
print("done", flush=True)
time.sleep(0.05)
sys.exit({code})
"""


def checkout(folder: Path, metrics: dict[str, Any] | None, code: int = 0) -> Path:
    folder.mkdir()
    (folder / "launch.py").write_text(SCRIPT.format(metrics=metrics, code=code))
    return folder


def calls(root: Path) -> list[list[str]]:
    return [line.split() for line in (root / "calls.txt").read_text().splitlines()]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Takes the place of this checkout; the system is not asked to forget what it read."""
    root = checkout(tmp_path / "this", WHOLE)
    monkeypatch.setattr(whole, "ROOT", root)
    monkeypatch.setattr(runs, "drop_page_cache", lambda: True)
    return root


def test_checkouts_take_turns_with_cold_and_warm_caches(house: Path, tmp_path: Path) -> None:
    before, theirs = checkout(tmp_path / "old", TOLD), checkout(tmp_path / "nsr", None)
    (tmp_path / "lego").mkdir()
    out = tmp_path / "clock.json"
    flags = ["--demo", "--lego", str(tmp_path / "lego"), "--before", str(before), "--predecessor", str(theirs)]
    argv = [*flags, "--runs", "2", "--device", "cpu", "--out", str(out), "trainer.max_steps=7"]
    assert whole.work(argv) == 0
    result = json.loads(out.read_text())
    rows = {(row["task"], row["tree"], row["cache"]): row for row in result["rows"]}
    assert {key: len(row["runs"]) for key, row in rows.items()} == {
        (task, tree, cache): number
        for task, trees in (("demo", ("this", "before")), ("lego", ("this", "before", "predecessor")))
        for tree in trees
        for cache, number in (("cold", 1), ("warm", 2))
    }
    assert result["commits"] == dict.fromkeys(("this", "before", "predecessor"), "unknown")
    seconds = rows["demo", "this", "warm"]["seconds"]
    assert seconds["mesh"]["median"] == 0.5
    assert seconds["total"]["num"] == 2
    assert max(row["seconds"]["exit"]["median"] for row in rows.values()) > 0.0  # one slept behind its last line
    assert set(rows["lego", "predecessor", "cold"]["seconds"]) == {"total", "exit"}
    text = report({"clock.json": result}, NO_FLOORS)
    assert "| lego, runs | this, cold, 1 | before, cold, 1 | predecessor, cold, 1 | this, warm, 2 |" in text
    assert "| imports | 0.25 | 0.25 | – | 0.25 (0.25–0.25) |" in text
    cold, warm, warm_again, other_task, *_ = calls(house)
    assert cold[0] == warm[0] == warm_again[0] != other_task[0]
    assert calls(before)[0][0] != cold[0]
    assert cold[3:6] == ["--gpu", "cpu", "--train"]
    assert cold[-1] == calls(theirs)[0][-1] == "trainer.max_steps=7"


def test_the_training_of_an_older_checkout_is_without_its_start() -> None:
    wall = Wall(20.0, 21.5, 0)
    old = seconds_of(TOLD | {"views_seconds": 3.0, "mesh": {"seconds": 2.0}}, wall)
    assert old == {**dict.fromkeys(START, 0.25), "training": 3.5, "mesh": 2.0, "views": 3.0, "total": 20.0, "exit": 1.5}
    new = seconds_of(TOLD | {"stage_seconds": {**dict.fromkeys(LATER, 3.0), "total": 19.5}}, wall)
    assert new["summary"] == 0.5
    assert sum(new.values()) == pytest.approx(2.0 + 18.0 + 0.5 + 20.0 + 1.5)


def test_runs_that_fail_are_named_and_the_others_kept(house: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    before, out = checkout(tmp_path / "old", TOLD, code=3), tmp_path / "clock.json"
    argv = ["--demo", "--before", str(before), "--runs", "1", "--cold", "1", "--device", "cpu", "--out", str(out)]
    line = refused_last(refused, argv)
    assert "demo of before, cold: code 3: done" in line
    rows = {(row["tree"], row["cache"]): row for row in json.loads(out.read_text())["rows"]}
    assert rows["before", "warm"]["seconds"] == {}
    assert "total" in rows["this", "warm"]["seconds"]


def refused_last(refused: Callable[..., str], argv: list[str]) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole.common, "progress", lambda text: None)  # only the error is on stderr
        return refused(whole.work, *argv)


def test_what_is_not_there_is_told(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "nothing to time" in refused(whole.work, "--device", "cpu")
    assert "expected a folder with a data set" in refused(whole.work, "--lego", str(tmp_path / "lego"))
    with pytest.raises(DataError, match=r"expected a checkout with launch\.py"):
        Tree("before", tmp_path)


def test_a_checkout_is_run_by_its_own_python(tmp_path: Path) -> None:
    tree = Tree("before", checkout(tmp_path / "old", None))
    assert tree.python == sys.executable
    own = tmp_path / "old/.venv/bin/python"
    own.parent.mkdir(parents=True)
    own.touch()
    assert (tree.python == str(own)) == (not runs.on_windows())
    task = Task("demo", "c.yaml", on_cpu=True)
    assert tree.command(task, "1", tmp_path, ())[4:6] == ["--gpu", "cpu"]


@pytest.mark.soak
def test_this_checkout_tells_every_stage(tmp_path: Path, overrides: list[str]) -> None:
    out = tmp_path / "clock.json"
    flags = ["--demo", "--quick", "--runs", "1", "--cold", "0", "--device", "cpu", "--out", str(out)]
    assert whole.work([*flags, *overrides]) == 0
    (row,) = json.loads(out.read_text())["rows"]
    assert set(row["seconds"]) == set(runs.STAGES)
    assert sum(value["median"] for name, value in row["seconds"].items() if name != "exit") == pytest.approx(
        2.0 * row["seconds"]["total"]["median"], rel=0.02
    )
