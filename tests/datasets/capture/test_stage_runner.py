"""Stages run once, again when something changes, and leave whole results whatever happens to them."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.capture import stage_runner
from datasets.capture.stage_runner import Stage, run_stages
from utils.errors import CaptureError, DataError

ROOT = Path(__file__).resolve().parents[3]


class Chain:
    """Two stages: `first` writes its setting to a/x, `second` copies it to b; counts the runs of each."""

    def __init__(self, root):
        self.root, self.runs = root, []

    def run(self, text="1", fail=None, source=None, **flags):
        def first(working):
            self.runs.append("first")
            (working / "a").mkdir()
            (working / "a/x").write_text(text)
            if fail:
                raise fail
            return {"said": text}

        def second(working):
            self.runs.append("second")
            (working / "b").write_text((self.root / "a/x").read_text())
            return {}

        sources = (source,) if source else ()
        chain = [Stage("first", ("a",), first, {"text": text}, sources), Stage("second", ("b",), second, {})]
        self.runs.clear()
        run_stages(self.root, chain, **flags)
        return self.runs


@pytest.fixture
def chain(tmp_path):
    return Chain(tmp_path / "out")


def test_each_stage_runs_once_and_again_with_what_it_depends_on(chain, tmp_path, caplog):
    caplog.set_level("INFO")
    assert chain.run() == ["first", "second"]
    assert chain.run() == []
    assert "[1/2] first: unchanged, skipped" in caplog.text
    assert chain.run("2") == ["first", "second"]
    assert (chain.root / "b").read_text() == "2"
    source = tmp_path / "source"
    source.write_text("abc")
    assert chain.run("2", source=source) == ["first", "second"]
    assert chain.run("2", source=source) == []
    source.write_text("abcd")
    assert chain.run("2", source=source) == ["first", "second"]


def test_stages_run_alone_or_from_one_on(chain):
    with pytest.raises(CaptureError, match="second needs the results of first, which are missing"):
        chain.run(only="second")
    chain.run()
    assert chain.run(only="first") == ["first"]
    assert chain.run() == ["second"]  # what it reads was made anew
    assert chain.run(start="second") == ["second"]
    assert chain.run(start="first") == ["first", "second"]


def test_lost_results_are_made_again(chain):
    chain.run()
    (chain.root / "b").unlink()
    assert chain.run() == ["second"]


def test_a_failure_leaves_the_old_results(chain):
    chain.run()
    with pytest.raises(DataError):
        chain.run("2", fail=DataError("broken"))
    assert (chain.root / "a/x").read_text() == "1"
    assert chain.run("1") == []
    assert not list((chain.root / "prepare").glob("*.working"))


def test_a_copied_folder_is_as_good(chain, tmp_path):
    chain.run()
    chain.root = chain.root.rename(tmp_path / "elsewhere")
    assert chain.run() == []


@pytest.mark.parametrize("step", range(1, 8))
def test_killed_between_any_two_moves_nothing_is_lost(chain, monkeypatch, step):
    """The process dies at the n-th change on disk while the second result replaces the first."""
    chain.run("1")
    calls = []

    def dying(original):
        def change(*args, **kwargs):
            calls.append(original)
            if len(calls) == step:
                raise KeyboardInterrupt  # no handler of the runner catches it, as none catches SIGKILL
            return original(*args, **kwargs)

        return change

    with monkeypatch.context() as patch:
        patch.setattr(stage_runner, "replace", dying(stage_runner.replace))
        patch.setattr(stage_runner.shutil, "rmtree", dying(stage_runner.shutil.rmtree))
        with pytest.raises(KeyboardInterrupt):
            chain.run("2")
    if step == 1:  # before the new results count: the old ones are whole
        assert chain.run("1") == []
        chain.run("2")
    assert "first" not in chain.run("2")
    assert ((chain.root / "a/x").read_text(), (chain.root / "b").read_text()) == ("2", "2")
    assert sorted(p.name for p in (chain.root / "prepare").iterdir()) == [
        "first.json", "lock", "report.json", "second.json"
    ]  # fmt: skip


def test_a_stage_that_is_stopped_leaves_nothing_and_spoils_nothing(chain):
    chain.run("1")
    seen = []

    def strike(working):
        (working / "a").mkdir()
        stage_runner.remove_unfinished()  # as from the thread that hears the signal
        seen.append(working.exists())
        return {}

    workspace = stage_runner.Workspace(chain.root)
    with workspace.open(), pytest.raises(FileNotFoundError):  # what the stage still does comes to nothing
        workspace.run(stage_runner.Stage("first", ("a",), strike, {}), "other")
    assert seen == [False]
    assert not list((chain.root / "prepare").glob("*.working")) + list((chain.root / "prepare").glob("*.old"))
    assert chain.run("1") == []


def test_killed_in_the_middle_of_a_stage_the_half_is_thrown_away(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from datasets.capture.stage_runner import *\n"
        "def run(working):\n"
        "    (working / 'a').write_text('half'); print('ready', flush=True); time.sleep(60)\n"
        f"run_stages(Path(r'{tmp_path}'), [Stage('first', ('a',), run, {{}})])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(CaptureError, match="another process is preparing this folder"):
        run_stages(tmp_path, [])
    process.kill()
    process.wait()
    assert (tmp_path / "prepare/first.working/a").read_text() == "half"
    assert not (tmp_path / "a").exists()

    def whole(working):
        (working / "a").write_text("whole")
        return {}

    run_stages(tmp_path, [Stage("first", ("a",), whole, {})])
    assert (tmp_path / "a").read_text() == "whole"


def test_what_others_made_is_not_replaced(chain):
    (chain.root / "a").mkdir(parents=True)
    with pytest.raises(CaptureError, match=r"a: exists already, and prepare\.py did not write it"):
        chain.run()


def test_what_another_stage_made_is_replaced_and_that_stage_runs_again(chain):
    chain.run()
    ran, after = [], []

    def other(working):
        ran.append("other")
        (working / "b").write_text("taken over")
        return {}

    run_stages(chain.root, [Stage("other", ("b",), other, {})], after=after.append)
    assert (chain.root / "b").read_text() == "taken over"
    assert chain.run() == ["second"]
    assert (chain.root / "b").read_text() == "1"
    run_stages(chain.root, [Stage("other", ("b",), other, {})], after=after.append)
    run_stages(chain.root, [Stage("other", ("b",), other, {})], after=after.append)
    assert ran == ["other", "other"]
    assert after == ["other"] * 3


def test_results_that_are_no_longer_wanted_go_those_of_others_stay(tmp_path):
    def make(working):
        (working / "a").write_text("made")
        return {}

    run_stages(tmp_path, [Stage("first", ("a",), make, {"on": True})])
    (tmp_path / "b").write_text("mine")
    run_stages(tmp_path, [Stage("first", (), lambda working: {}, {"on": False})])
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["b", "prepare"]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full. Free some space and start again"),
        (errno.EACCES, "Give an OUT that you may write to"),
        (errno.EROFS, "Give an OUT that you may write to"),
    ],
)
def test_disks_that_refuse_are_told_in_a_sentence(chain, number, said):
    with pytest.raises(CaptureError, match=said):
        chain.run(fail=OSError(number, os.strerror(number)))
    assert chain.run() == ["first", "second"]


def test_a_full_disk_is_recognised_by_its_free_bytes_where_a_library_says_something_else(chain, monkeypatch):
    with pytest.raises(RuntimeError, match="database"):
        chain.run(fail=RuntimeError("database error"))
    monkeypatch.setattr(stage_runner, "_free_bytes", lambda root: 0)
    with pytest.raises(CaptureError, match="the disk is full"):
        chain.run(fail=RuntimeError("database error"))


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(CaptureError, match="expected a folder, or nothing yet, got a file"):
        run_stages(tmp_path / "out", [])
