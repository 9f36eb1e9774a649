"""What finishes a mesh is compiled by another process, by an export of a ball with the settings of the experiment."""

import io
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numba
import pytest
import torch
from patience import PATIENCE

from systems.configs import Experiment, read_experiment
from systems.training import finishing_ahead
from systems.training.devices import Devices
from utils.registry import ROOT

GPU = Devices.single(torch.device("cuda", 0))


def experiment(*overrides: str, name: str = "neus-demo") -> Experiment:
    return read_experiment([ROOT / f"configs/{name}.yaml"], ["dataset.root_dir=x", *overrides])


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Sets the number of cores; the cache folder is empty."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return lambda num: monkeypatch.setattr(finishing_ahead, "num_cores", lambda: num)


@pytest.mark.slow  # where nothing is compiled yet
@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("neus-demo", ["export.texture=views", "export.crop=visible", "export.bottom=closed", "model.radius=auto"]),
        ("nerf-blender", ["dataset.scene=x", "export.formats=[glb]"]),
    ],
)
def test_a_ball_is_exported_as_the_settings_ask_for(name: str, overrides: list[str], tmp_path: Path) -> None:
    mine = experiment(*overrides, "dataset.gt_mesh=null", name=name)
    report = finishing_ahead.rehearse(pickle.loads(pickle.dumps(mine)), tmp_path)
    assert report["vertices"] > 100
    assert all((tmp_path / file).is_file() for file in report["files"])
    assert {Path(file).suffix[1:] for file in report["files"]} == set(mine.export.formats)


def test_it_is_due_on_a_gpu_with_cores_to_spare_until_it_was_done(cores) -> None:
    def due(mine: Experiment, devices: Devices) -> list[str]:
        return [type(callback).__name__ for callback in finishing_ahead.finishing_ahead(mine, devices)]

    mine, both = experiment(), ["FinishingAhead", "ImportingAhead"]
    cores(8)
    assert due(mine, GPU) == both
    assert due(mine, Devices.single(torch.device("cpu"))) == []
    finishing_ahead._stamp(mine).mkdir(parents=True)
    assert due(mine, GPU) == both[1:]
    assert due(experiment("export.texture=views"), GPU) == both
    cores(2)
    assert due(experiment("export.texture=views"), GPU) == []


def test_what_is_compiled_is_read_before_the_last_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a mesh that is finished so, and leaves no file; an error is left to whoever finishes the next."""
    mine, finished = experiment("export.formats=[ply,obj]", "trainer.max_steps=200"), []
    monkeypatch.setattr(finishing_ahead, "_stamp", lambda mine: tmp_path)
    monkeypatch.setattr(finishing_ahead.tempfile, "tempdir", str(tmp_path))
    finish = finishing_ahead._finish_pyramid
    monkeypatch.setattr(finishing_ahead, "_finish_pyramid", lambda formats: finished.append(finish(formats)))
    callback = finishing_ahead.ImportingAhead(mine)
    turns, usual = [], sys.getswitchinterval()
    waits: list[float | None] = []
    callback._hurry = SimpleNamespace(wait=waits.append, set=lambda: waits.append(None))

    def noted(name: str) -> None:
        turns.append((sys.getswitchinterval(), sys.meta_path[0]))
        with pytest.raises(ModuleNotFoundError):
            __import__("nothing_of_this_name")

    monkeypatch.setattr(finishing_ahead.importlib, "import_module", noted)
    for step in (1, 149, 150, 199, 200):
        callback.on_train_batch_end(SimpleNamespace(global_step=step))
        assert (callback._thread is not None) == (step >= 150)
    with pytest.raises(ModuleNotFoundError):
        __import__("nothing_else")  # here nothing rests
    callback.on_test_start()
    assert finished == [None]
    assert turns[:2] == [(pytest.approx(finishing_ahead.TURN), callback)] * 2
    assert set(waits) == {finishing_ahead.REST, None}
    assert waits.count(finishing_ahead.REST) == 2  # before each module, of the thread alone
    assert sys.getswitchinterval() == usual
    assert callback not in sys.meta_path
    assert list(tmp_path.iterdir()) == []
    failing = finishing_ahead.ImportingAhead(mine)
    monkeypatch.setattr(finishing_ahead, "_stamp", lambda mine: 1 / 0)
    failing.on_train_batch_end(SimpleNamespace(global_step=200))
    failing.on_test_start()


def test_the_process_leaves_a_stamp_and_one_that_fails_does_not(cores, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = experiment()
    monkeypatch.setattr(finishing_ahead.os, "nice", lambda by: None)
    monkeypatch.setattr(torch, "set_num_threads", lambda num: None)
    for rehearse, is_left in ((lambda *args: 1 / 0, False), (lambda *args: {}, True)):
        monkeypatch.setattr(finishing_ahead, "rehearse", rehearse)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(pickle.dumps(mine))))
        try:
            finishing_ahead.main()
        except ZeroDivisionError:
            assert not is_left
        assert finishing_ahead._stamp(mine).is_dir() == is_left


def test_the_process_is_started_once_and_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen] = []
    popen = subprocess.Popen

    def start(command: list[str], **options) -> subprocess.Popen:
        assert command[1:] == ["-m", "systems.training.finishing_ahead"]
        started.append(popen([sys.executable, "-c", "import sys, time; sys.stdin.read(); time.sleep(3600)"], **options))
        return started[-1]

    monkeypatch.setattr(finishing_ahead.subprocess, "Popen", start)
    callback = finishing_ahead.FinishingAhead(experiment())
    callback.on_train_start(None, None)
    callback.on_train_start(None, None)
    assert len(started) == 1
    assert started[0].poll() is None
    callback.on_exception(None, None, RuntimeError())
    assert started[0].wait(PATIENCE) != 0  # it was ended: by itself it would sleep on
