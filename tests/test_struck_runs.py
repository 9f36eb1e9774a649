"""What strikes a run takes no more from it than the steps since the last checkpoint; it says how to go on."""

import errno
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from sphere_scene import write_sphere_scene
from struck_runs import STEPS, Killed, go_on, kill, run_in, same, start, steps_on_disk, strike, weights

import launch
from models.base import VolumeModel
from systems.runs import checkpoints

handles_signals = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can handle")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sphere_scene(tmp_path_factory.mktemp("sphere"))


@pytest.fixture(scope="module")
def whole(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights of a run that nothing struck."""
    out = tmp_path_factory.mktemp("whole")
    assert start(scene, out) == 0
    assert steps_on_disk(run_in(out)) == [8, 16, 24]
    return weights(run_in(out))


@pytest.mark.parametrize(("at", "begins"), [(3, 0), (8, 8), (13, 8), (STEPS - 1, 16)])
def test_a_killed_run_goes_on_and_ends_in_the_same_weights(
    scene: Path, whole: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, begins: int
) -> None:
    seen = strike(monkeypatch, at, kill)
    with pytest.raises(Killed):
        start(scene, tmp_path)
    (run_in(tmp_path) / "ckpt" / ".epoch=0-step=99.1.ckpt").write_bytes(b"half")  # it was writing one
    del seen[:]
    seen += [at]  # it strikes once
    assert go_on(tmp_path) == 0
    assert seen[1] == begins
    assert same(weights(run_in(tmp_path)), whole)
    assert not list((run_in(tmp_path) / "ckpt").glob(".*"))


def test_a_run_killed_after_its_training_is_tested(
    scene: Path, whole: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("systems.training.reconstruction.write_video", lambda *args: kill(None))
        with pytest.raises(Killed):
            start(scene, tmp_path)
    assert not (run_in(tmp_path) / "save/metrics.json").exists()
    assert go_on(tmp_path) == 0
    assert (run_in(tmp_path) / "save/metrics.json").is_file()
    assert same(weights(run_in(tmp_path)), whole)


@handles_signals
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(
    scene: Path,
    whole: dict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    signum: int,
    code: int,
) -> None:
    before = signal.getsignal(signum)
    strike(monkeypatch, 10, lambda step: os.kill(os.getpid(), signum))
    assert start(scene, tmp_path) == code
    assert signal.getsignal(signum) == before
    assert steps_on_disk(run_in(tmp_path)) == [8, 11]
    line = capsys.readouterr().err.splitlines()[-1]
    assert "epoch=0-step=11.ckpt" in line
    command = shlex.split(line.split("Go on with: ")[1])
    assert command[:2] == ["python", "launch.py"]
    assert launch.main(command[2:]) == 0
    assert same(weights(run_in(tmp_path)), whole)
    assert steps_on_disk(run_in(tmp_path)) == [8, 11, 16, 24]


@handles_signals
def test_a_signal_does_not_wait_for_the_validation_views(
    scene: Path, whole: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = []

    def look(model: VolumeModel, *args: object) -> object:
        views.append(1)
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(model, *args)

    from systems.training.rendering import evaluate_view as evaluate

    with monkeypatch.context() as patch:
        patch.setattr("systems.training.rendering.evaluate_view", look)
        assert start(scene, tmp_path) == 143
    assert len(views) == 1
    assert steps_on_disk(run_in(tmp_path)) == [8, 9]
    assert go_on(tmp_path) == 0
    assert same(weights(run_in(tmp_path)), whole)


@pytest.mark.parametrize("harm", ["truncated", "flipped"])
def test_a_damaged_checkpoint_is_told_and_the_older_one_used(
    scene: Path,
    whole: dict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    harm: str,
) -> None:
    seen = strike(monkeypatch, 20, kill)
    with pytest.raises(Killed):
        start(scene, tmp_path)
    newest = run_in(tmp_path) / "ckpt/epoch=0-step=16.ckpt"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 4
    newest.write_bytes(content if harm == "flipped" else content[:-700])
    del seen[:]
    seen += [20]
    assert go_on(tmp_path) == 0
    assert seen[1] == 8
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "step=16.ckpt" in line]
    assert "not a readable checkpoint" in line
    assert "epoch=0-step=8.ckpt" in line
    assert same(weights(run_in(tmp_path)), whole)


def no_room(*args: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_does_not_end_the_training(
    scene: Path, whole: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    save = torch.save
    calls = []

    def write(content: dict, path: Path) -> None:
        calls.append(content["global_step"])
        Path(path).write_bytes(b"half of it")
        if content["global_step"] < STEPS:
            no_room()
        save(content, path)

    monkeypatch.setattr(checkpoints.torch, "save", write)
    monkeypatch.setattr("systems.training.frames.write_png", _only_for("-val", no_room))
    assert start(scene, tmp_path) == 0
    assert calls == [8, 16, 24]
    assert steps_on_disk(run_in(tmp_path)) == [24]
    told = [line for line in capsys.readouterr().err.splitlines() if "cannot be written" in line]
    # another thread writes the views
    assert sorted(line.split()[:2] for line in told) == [["step", "16:"], ["step", "8:"], ["validation", "views"]]
    assert same(weights(run_in(tmp_path)), whole)


def _only_for(part: str, raises: Callable[[], None]) -> Callable[..., None]:
    from utils.images import write_png

    return lambda path, image: raises() if part in str(path) else write_png(path, image)


def test_a_training_that_cannot_be_saved_at_all_is_an_error(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints.torch, "save", no_room)
    assert start(scene, tmp_path) == 2
    assert "could not be written, so the training is lost from step 0 on" in capsys.readouterr().err


def test_a_disk_that_is_full_after_the_training_costs_only_the_test_pass(
    scene: Path, whole: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("systems.training.reconstruction.write_video", no_room)
        assert start(scene, tmp_path) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be written (No space left on device). The disk is full" in line
    assert launch.main(shlex.split(line.split("Then: ")[1])[2:]) == 0
    assert (run_in(tmp_path) / "save/metrics.json").is_file()


@handles_signals
def test_a_signal_in_the_test_pass_ends_it_at_once(
    scene: Path, whole: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("systems.training.reconstruction.write_video", lambda *args: os.kill(os.getpid(), signal.SIGTERM))
        assert start(scene, tmp_path) == 143
    assert f"the newest checkpoint is epoch=0-step={STEPS}.ckpt" in capsys.readouterr().err
    assert go_on(tmp_path) == 0
    assert (run_in(tmp_path) / "save/metrics.json").is_file()


@pytest.mark.parametrize("place", ["exp", "runs"])
def test_a_place_for_results_that_is_none_is_told_before_the_training(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, place: str
) -> None:
    seen = strike(monkeypatch, -1, kill)
    (tmp_path / place).write_text("a file")
    assert start(scene, tmp_path) == 2
    assert seen == []
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert f"--{place}_dir" in line
    assert "is a file" in line


def test_a_disk_without_room_for_a_checkpoint_is_told_before_the_training(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    seen = strike(monkeypatch, -1, kill)
    monkeypatch.setattr("systems.runs.shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    assert start(scene, tmp_path) == 2
    assert seen == []
    assert "a checkpoint takes about" in capsys.readouterr().err
